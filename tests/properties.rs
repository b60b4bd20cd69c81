//! Whatever callback can be made is decoded to what was put in, and no bytes make verify, decode or answer panic.

#![allow(clippy::option_option, clippy::ref_option, reason = "absent, null and there are three things")]

use std::borrow::Cow;

use group_ledger::domain::change::{Detail, GroupChange};
use group_ledger::domain::rejection::Rejection;
use group_ledger::domain::request::Request;
use group_ledger::domain::timestamp::Timestamp;
use group_ledger::ingest::read::{self, DecodeFailure};
use group_ledger::platform::{Decoded, Registration};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};
use proptest::test_runner::Config;
use serde_json::{Map, Value, json};

use crate::support::{OPENIM, Sent, TENCENT_CHAT, all, change, platform};

/// Holds what `sent` is decoded to against `expected`.
fn decoded(registration: &Registration, sent: &Sent, expected: impl FnOnce(GroupChange<'_>)) {
    let (platform, event) = (platform(registration, &[]), sent.event());
    let http = crate::support::http(&event);
    let request = Request::of(&http, Timestamp::now());
    let (callback, _) = read::parse(&*platform, read::verify(&*platform, &request).unwrap().unwrap());
    match read::decode(&*platform, &callback) {
        Ok(Decoded::Change(change)) => expected(change),
        _ => panic!("{} is no change", String::from_utf8_lossy(&sent.body)),
    }
}

/// Any text, and more often such as trip readers up.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![any::<String>(), Just(String::new()), Just("\u{0}\"\\\u{1f600}\u{2028}<&".to_owned()), "[ -~]{1,40}"]
}

fn id() -> impl Strategy<Value = String> {
    prop_oneof!["@TGS#[0-9A-Z]{9}", "[ -~]{1,48}", "\\PC{1,20}"]
}

/// A field of a callback: absent, null or there.
fn field() -> impl Strategy<Value = Option<Option<String>>> {
    option::of(option::of(text()))
}

fn details<'a>(change: &'a GroupChange<'_>, name: &str) -> Option<&'a Detail<'a>> {
    change.details.iter().find(|(key, _)| *key == name).map(|(_, detail)| detail)
}

/// Puts a field into a body as it is on the wire.
fn put(body: &mut Map<String, Value>, name: &str, value: &Option<Option<String>>) {
    if let Some(value) = value {
        body.insert(name.to_owned(), json!(value));
    }
}

/// What comes of a field: null and absent are untouched, an empty text is a cleared field.
fn expected(value: &Option<Option<String>>) -> Option<Detail<'_>> {
    let text = value.as_ref()?.as_ref()?;
    Some(Detail::Text(Cow::Borrowed(text)))
}

/// A plain value, or the documentation's wrapped one.
fn wrapped(value: Value, wrap: bool) -> Value {
    if wrap { json!({ "value": value }) } else { value }
}

proptest! {
    #![proptest_config(Config { failure_persistence: None, ..Config::with_cases(512) })]

    #[test]
    fn tencent_chats_changes_of_information(
        group in id(), operator in id(), fields in [field(), field(), field(), field()],
        millis in 946_684_800_000_i64..253_402_300_799_999, as_text in any::<bool>(),
        extra in option::of(text()),
    ) {
        let wire = ["Name", "Introduction", "Notification", "FaceUrl"];
        let mut body = Map::from_iter([
            ("CallbackCommand".to_owned(), json!("Group.CallbackAfterGroupInfoChanged")),
            ("GroupId".to_owned(), json!(group)),
            ("Operator_Account".to_owned(), json!(operator)),
            ("EventTime".to_owned(), if as_text { json!(millis.to_string()) } else { json!(millis) }),
        ]);
        for (name, value) in wire.iter().zip(&fields) {
            put(&mut body, name, value);
        }
        if let Some(extra) = extra {
            body.insert("SomethingNew".to_owned(), json!([{ "a": extra }]));
        }
        let sent = Sent::post("/tencent-chat", "SdkAppid=1400000000", Value::Object(body).to_string());
        decoded(TENCENT_CHAT, &sent, |change| {
            assert_eq!(change.group_id, group);
            assert_eq!(change.operator.as_deref(), Some(operator.as_str()));
            assert_eq!(change.occurred_at.map(Timestamp::unix_millis), Some(millis));
            for (name, value) in ["name", "introduction", "notification", "face_url"].iter().zip(&fields) {
                assert_eq!(details(&change, name).cloned(), expected(value), "{name}");
            }
            assert_eq!(change.details.len(), fields.iter().filter(|field| matches!(field, Some(Some(_)))).count());
        });
    }

    #[test]
    fn tencent_chats_lists(group in id(), members in vec(id(), 0..50), pairs in vec((text(), option::of(text())), 0..20)) {
        let member = |id: &String| json!({ "Member_Account": id, "Role": "Admin" });
        let pair = |(key, value): &(String, Option<String>)| json!({ "Key": key, "Value": value });
        let body = json!({
            "CallbackCommand": "Group.CallbackAfterCreateGroup",
            "GroupId": group,
            "MemberList": members.iter().map(member).collect::<Vec<_>>(),
            "UserDefinedDataList": pairs.iter().map(pair).collect::<Vec<_>>(),
        });
        let sent = Sent::post("/tencent-chat", "SdkAppid=1400000000", body.to_string());
        decoded(TENCENT_CHAT, &sent, |change| {
            let ids = members.iter().map(|id| Cow::Borrowed(id.as_str())).collect();
            assert_eq!(details(&change, "members"), Some(&Detail::Ids(ids)));
            let fields = pairs.iter().filter(|(key, _)| !key.is_empty()).map(|(key, value)| {
                let value = value.as_ref().map_or(Detail::Nothing, |value| Detail::Text(Cow::Borrowed(value)));
                (Cow::Borrowed(key.as_str()), value)
            });
            assert_eq!(details(&change, "custom_fields"), Some(&Detail::Map(fields.collect())));
        });
    }

    #[test]
    fn openims_changes_of_information(
        group in id(), fields in [field(), field(), field(), field()], number in option::of(any::<i32>()),
        wrap in any::<bool>(), nest in any::<bool>(), in_path in any::<bool>(),
    ) {
        let mut inner = Map::from_iter([("groupID".to_owned(), json!(group))]);
        for (name, value) in ["groupName", "introduction", "notification", "faceURL"].iter().zip(&fields) {
            if let Some(value) = value {
                inner.insert((*name).to_owned(), wrapped(json!(value), wrap));
            }
        }
        if let Some(number) = number {
            inner.insert("needVerification".to_owned(), wrapped(json!(number), wrap));
        }
        let mut body = if nest { Map::from_iter([("groupInfoForSet".to_owned(), inner.into())]) } else { inner };
        if !in_path {
            body.insert("callbackCommand".to_owned(), json!("callbackAfterSetGroupInfoEXCommand"));
        }
        let path = if in_path { "/openim/callbackAfterSetGroupInfoExCommand" } else { "/openim" };
        decoded(OPENIM, &Sent::post(path, "", Value::Object(body).to_string()), |change| {
            assert_eq!(change.group_id, group);
            assert_eq!(change.command, "callbackAfterSetGroupInfoExCommand");
            for (name, value) in ["name", "introduction", "notification", "face_url"].iter().zip(&fields) {
                assert_eq!(details(&change, name).cloned(), expected(value), "{name}");
            }
            let number = number.map(|number| Detail::Number(number.to_string()));
            assert_eq!(details(&change, "need_verification").cloned(), number);
        });
    }

    #[test]
    fn no_bytes_panic(path in any::<String>(), query in any::<String>(), body in vec(any::<u8>(), 0..2000)) {
        let mut sent = Sent::post(&path, &query, body);
        for round in 0..2 {
            all().for_each(|platform| answers(platform, &sent));
            if round == 0 {
                let own: Vec<_> = all().map(|platform| change(platform).query).collect();
                sent.query = format!("{}&{query}", own.join("&"));
            }
        }
    }
}

fn answers(registration: &Registration, sent: &Sent) {
    let (platform, event) = (platform(registration, &[]), sent.event());
    let http = crate::support::http(&event);
    let request = Request::of(&http, Timestamp::now());
    let outcome = match read::verify(&*platform, &request) {
        Ok(None) => Ok(()),
        Ok(Some(verified)) => {
            let (callback, is_parsed) = read::parse(&*platform, verified);
            assert!(is_parsed, "a panic");
            match read::decode(&*platform, &callback) {
                Ok(_) => Ok(()),
                Err(DecodeFailure::Rejected(rejection)) => Err(rejection),
                Err(DecodeFailure::Undecodable(reason)) => Err(reason.rejection),
            }
        }
        Err(rejection) => Err(rejection),
    };
    assert_ne!(outcome, Err(Rejection::DEFECT), "a panic");
    serde_json::from_str::<Value>(platform.respond(Some(&request), outcome).body()).unwrap();
}
