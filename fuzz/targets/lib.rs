//! What the fuzz targets share: the pure way of a request, from its bytes to its record or its answer. Knows no platform.

use std::borrow::Cow;

use group_ledger::domain::record::Record;
use group_ledger::domain::rejection::Rejection;
use group_ledger::domain::request::{Query, Request};
use group_ledger::domain::timestamp::Timestamp;
use group_ledger::ingest::read::{DecodeFailure, decode, parse, verify};
use group_ledger::platform::{Decoded, Platform, Registration};
use group_ledger::settings::Settings;

/// The secret of what is genuine, of the form that every platform's secrets may have. The corpus has requests that present it or
/// are signed with it.
const SECRET: &str = "user:password";

/// A platform that takes anybody's callbacks of its sample app, and one whose senders must be genuine.
pub fn platforms(registration: &Registration) -> [Box<dyn Platform>; 2] {
    [(registration.allow_anybody, "true"), (registration.secrets, SECRET)].map(|who| {
        let settings = |name: &str| {
            let value = registration.sample_app.iter().chain([&who]).find(|(setting, _)| *setting == name);
            value.map(|(_, value)| (*value).to_owned())
        };
        (registration.from_settings)(&Settings::new(&settings)).expect("the settings are right")
    })
}

/// Verifies, parses, decodes, makes the record and the answer.
pub fn run(platform: &dyn Platform, request: &Request<'_>) {
    let outcome = match verify(platform, request) {
        Ok(None) => Ok(()),
        Ok(Some(verified)) => {
            let (callback, is_parsed) = parse(platform, verified);
            assert!(is_parsed, "a panic in parsing");
            match decode(platform, &callback) {
                Ok(Decoded::Change(change)) => {
                    let record = Record::new(platform.name(), platform.app_id(), change, &callback, Some(30));
                    assert!(record.group_key.len() <= 2048);
                    let longest = 1024 + request.request_id.len();
                    assert!(record.change_key().len() <= 1024 && record.collision_key().len() <= longest);
                    Ok(())
                }
                Ok(Decoded::Ignored(_)) => Ok(()),
                Err(DecodeFailure::Rejected(rejection)) => Err(rejection),
                Err(DecodeFailure::Undecodable(reason)) => Err(reason.rejection),
            }
        }
        Err(rejection) => {
            platform.is_known_caller(request);
            Err(rejection)
        }
    };
    assert_ne!(outcome, Err(Rejection::DEFECT), "a panic in decoding");
    let answer = platform.respond(Some(request), outcome).into_body();
    assert!(serde_json::from_str::<serde_json::Map<_, serde_json::Value>>(&answer).is_ok(), "{answer}");
}

/// A request out of fuzzed bytes: path and query on the first line, a header a line, an empty line, and the body.
pub fn request(bytes: &[u8]) -> Option<Request<'_>> {
    let at = bytes.windows(2).position(|bytes| bytes == b"\n\n")?;
    let mut head = str::from_utf8(bytes.get(..at)?).ok()?.split('\n');
    let url = head.next().unwrap_or_default();
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let headers = head.filter_map(|line| line.split_once(": "));
    Some(Request {
        method: "POST".into(),
        path: path.into(),
        query: Query::parse(query),
        headers: headers.map(|(name, value)| (Cow::Borrowed(name), Cow::Borrowed(value))).collect(),
        body: Cow::Borrowed(bytes.get(at + 2..)?),
        received_at: Timestamp::from_unix_millis(1_669_872_112_000)?,
        request_id: "request".into(),
    })
}
