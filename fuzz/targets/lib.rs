//! What the fuzz targets share: the pure way of a request, from its bytes to its record or its answer.

use std::borrow::Cow;

use group_ledger::domain::record::Record;
use group_ledger::domain::request::Request;
use group_ledger::ingest::receive::{Unread, read};
use group_ledger::platform::{Decoded, Platform};
use group_ledger::settings::Settings;

/// A platform whose senders must be genuine, and one that takes anybody's callbacks.
pub fn platforms<P: Platform>() -> [P; 2] {
    ["true", "false"].map(|is_open| {
        let settings = |name: &str| {
            let value = match name {
                "TENCENT_SDK_APP_ID" => "1400000000",
                "TENCENT_ALLOW_UNSIGNED" | "OPENIM_ALLOW_ANONYMOUS" => is_open,
                "TENCENT_CALLBACK_TOKENS" if is_open == "false" => "xxxxyyyy",
                "OPENIM_CREDENTIALS" if is_open == "false" => "user:password",
                _ => return None,
            };
            Some(value.to_owned())
        };
        P::from_settings(&Settings::new(&settings)).expect("the settings are right")
    })
}

/// Verifies, decodes, makes the record and the answer.
pub fn run<P: Platform>(platform: &P, request: &Request<'_>) {
    let rejection = match read(platform, request) {
        Ok(Decoded::Change(change)) => {
            let record = Record::new(P::NAME, platform.app_id(), change, request, Some(30));
            assert!(record.group_key.len() <= 2048);
            assert!(
                record.change_key().len() <= 1024 && record.collision_key().len() <= 1024 + request.request_id.len()
            );
            None
        }
        Ok(_) => None,
        Err(Unread::NotGenuine(rejection)) => {
            platform.is_known_caller(request);
            Some(rejection)
        }
        Err(Unread::Undecodable(reason)) => Some(reason.rejection),
    };
    assert!(P::respond(Some(request), rejection).starts_with('{'));
}

/// A request out of fuzzed bytes: a line with path and query, and the body.
pub fn request(bytes: &[u8]) -> Option<Request<'_>> {
    let at = bytes.iter().position(|byte| *byte == b'\n')?;
    let (line, body) = bytes.split_at(at);
    let line = str::from_utf8(line).ok()?;
    let (path, query) = line.split_once('?').unwrap_or((line, ""));
    let header = |name: &'static str, value: &'static str| (Cow::Borrowed(name), Cow::Borrowed(value));
    Some(Request {
        method: "POST".into(),
        path: path.into(),
        query: group_ledger::domain::request::Query::parse(query),
        headers: [header("Operationid", "op"), header("authorization", "Basic dXNlcjpwYXNzd29yZA==")]
            .into_iter()
            .collect(),
        body: Cow::Borrowed(body.get(1..)?),
        received_at: group_ledger::domain::timestamp::Timestamp::from_unix_millis(1_669_872_112_000)?,
        request_id: "request".into(),
    })
}
