//! Items: what is written is read back, through one type; numbers keep their digits.

use std::borrow::Cow;

use group_ledger::domain::change::Detail;
use group_ledger::domain::quarantine::{Quarantined, Undecoded};
use group_ledger::domain::record::Record;
use group_ledger::domain::rejection::Rejection;
use group_ledger::domain::request::Request;
use group_ledger::domain::timestamp::Timestamp;
use group_ledger::ingest::read::{self, DecodeFailure};
use group_ledger::platform::{Decoded, Registration};
use group_ledger::storage::envelope::Envelope;
use group_ledger::storage::item::{self, Item};
use serde_json::Value;

use crate::support::{OPENIM, Sent, TENCENT_CHAT, files, platform, platform_of};

/// The record of an event, or its callback in quarantine, and the item of each.
fn written(registration: &Registration, event: &str, retention_days: Option<u32>) -> (Value, Item) {
    let platform = platform(registration, &[]);
    let http = crate::support::http(event);
    let request = Request::of(&http, Timestamp::now());
    let (callback, _) = read::parse(&*platform, read::verify(&*platform, &request).unwrap().unwrap());
    let (name, app_id) = (platform.name(), platform.app_id());
    let envelope = match read::decode(&*platform, &callback) {
        Ok(Decoded::Change(mut change)) => {
            // A map has no order of its own.
            change.details.sort_by(|(one, _), (other, _)| one.cmp(other));
            change.source.sort();
            Envelope::Record(Record::new(name, app_id, change, &callback, retention_days))
        }
        Err(DecodeFailure::Undecodable(reason)) => {
            let undecoded = Undecoded::new(name, app_id, reason, callback.clone(), retention_days);
            Envelope::Quarantined(Quarantined::from(undecoded))
        }
        _ => panic!("nothing is written"),
    };
    let key = match &envelope {
        Envelope::Record(record) => record.change_key(),
        Envelope::Quarantined(quarantined) => quarantined.change_key(),
        Envelope::Part(_) => panic!("no part"),
    };
    (serde_json::to_value(&envelope).unwrap(), item::of(&envelope, &key, Some(Timestamp::now())).unwrap())
}

/// An item that is read and written again. A quarantined callback's comes to its envelope.
fn assert_is_read_back(envelope: &Value, item: &Item, what: &str) {
    if item.contains_key("reason") {
        let read = Envelope::Quarantined(item::quarantined(item.clone()).unwrap());
        assert_eq!(serde_json::to_value(&read).unwrap(), *envelope, "{what}");
        return;
    }
    let (read, details) = item::attributes(item.clone()).unwrap();
    let details: Vec<_> = details.unwrap().into_iter().map(|pair| serde_json::to_value(pair).unwrap()).collect();
    assert_eq!(Value::from(details), envelope["record"]["change"]["details"], "{what}");
    let mut again: Item = serde_dynamo::to_item(read).unwrap();
    again.insert("change".to_owned(), item["change"].clone());
    assert_eq!(again, *item, "{what}");
    let raw = Envelope::Record(Record { raw: item::raw(item.clone()).unwrap(), ..record(envelope) });
    assert_eq!(serde_json::to_value(&raw).unwrap(), *envelope, "{what}");
}

fn record(envelope: &Value) -> Record<'static> {
    let Ok(Envelope::Record(record)) = serde_json::from_value(envelope.clone()) else { panic!("no record") };
    record
}

#[test]
fn what_is_written_is_read_back() {
    for (name, event) in files("events") {
        for retention_days in [None, Some(30)] {
            let (envelope, item) = written(platform_of(&name), &event, retention_days);
            assert_is_read_back(&envelope, &item, &name);
        }
    }
    for (registration, sent) in [
        // Every attribute, none of them, a compressed body, and bytes that are no text.
        (OPENIM, Sent::post("/openim/callbackAfterQuitGroupCommand", "command=x", "{").header("operationID", "操作")),
        (OPENIM, Sent::post("/openim", "", r#"{"callbackCommand":"callbackAfterQuitGroupCommand","groupID":"g"}"#)),
        (OPENIM, Sent::post("/openim", "", b"\xff".to_vec()).request("").header("content-encoding", "gzip")),
        (TENCENT_CHAT, Sent::post("/tencent-chat", "SdkAppid=1400000000", "x".repeat(100_000))),
        (
            TENCENT_CHAT,
            Sent::post(
                "/tencent-chat",
                "SdkAppid=1400000000&ClientIP=::1",
                r#"{"CallbackCommand":"Group.CallbackAfterGroupAttrChanged","GroupId":"g","OptionType":"delete","GroupAttr":[{"key":"a"},{"key":"b","value":true},{"key":"c","value":1.10}]}"#,
            ),
        ),
    ] {
        let (envelope, item) = written(registration, &sent.event(), None);
        assert_is_read_back(&envelope, &item, &sent.path);
    }
}

/// serde has no number of any length, so what changed is converted by hand.
#[test]
fn numbers_keep_their_digits() {
    let text = files("tests/envelopes").into_iter().find(|(name, _)| name == "record").unwrap().1;
    let Envelope::Record(mut record) = Envelope::from_text(text.trim()).unwrap().remove(0) else { panic!("no record") };
    let number = |digits: &str| Detail::Number(digits.to_owned());
    let details = [
        ("a", number("12345678901234567890")),
        ("b", number("99999999999999999999")),
        ("c", number("1.10")),
        ("d", number("-0")),
        // What DynamoDB does not hold is a text.
        ("e", Detail::Text("1e400".into())),
        (
            "f",
            Detail::Map(vec![
                ("g".into(), number("1e2")),
                ("h".into(), Detail::Nothing),
                ("i".into(), Detail::Flag(false)),
            ]),
        ),
        ("j", Detail::Ids(vec!["".into(), "\u{0}".into()])),
        ("k", Detail::Ids(Vec::new())),
    ];
    record.change.details = details.map(|(name, detail)| (Cow::Borrowed(name), detail)).into();
    let expected = record.change.details.clone();
    let item = item::of(&Envelope::Record(record), "key", None).unwrap();
    assert_eq!(item::attributes(item).unwrap().1, Some(expected));
}

#[test]
fn an_item_that_is_no_record_is_an_error() {
    let (_, item) = written(
        OPENIM,
        &Sent::post("/openim", "", r#"{"callbackCommand":"callbackAfterQuitGroupCommand","groupID":"g"}"#).event(),
        None,
    );
    for name in ["platform", "kind", "occurred_at", "raw", "digest"] {
        let mut item = item.clone();
        item.remove(name);
        assert!(item::attributes(item.clone()).is_err() || item::raw(item).is_err(), "without {name}");
    }
    assert!(item::quarantined(item.clone()).is_err());
    assert!(item::part(item).is_err());
}

/// A record whose change did not fit says so when it is read.
#[test]
fn a_record_without_its_change_says_so() {
    let (_, mut item) = written(
        OPENIM,
        &Sent::post("/openim", "", r#"{"callbackCommand":"callbackAfterQuitGroupCommand","groupID":"g"}"#).event(),
        None,
    );
    assert!(item::attributes(item.clone()).unwrap().1.is_some());
    item.remove("change");
    assert!(item::attributes(item).unwrap().1.is_none());
    // Read of a rejection's sentence and code, whichever version wrote them.
    let (_, item) = written(OPENIM, &Sent::post("/openim", "", "{}").event(), None);
    let kept = item::quarantined(item).unwrap().undecoded;
    assert_eq!((kept.code, kept.reason.as_ref()), (Rejection::NO_COMMAND.code(), Rejection::NO_COMMAND.sentence()));
}
