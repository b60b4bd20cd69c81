//! Entries as text: what a queue or a log holds is read again, whichever version wrote it.

use group_ledger::entry::{Entry, MAX_TEXT_BYTES, NotAnEntry};
use group_ledger::event::Event;
use group_ledger::platform::openim::OpenIm;
use group_ledger::platform::tencent_chat::TencentChat;
use group_ledger::platform::{Decoded, Platform};
use group_ledger::quarantine::Quarantined;
use group_ledger::receive::{Unread, read};
use group_ledger::record::Record;
use group_ledger::settings::Settings;
use group_ledger::timestamp::Timestamp;
use serde_json::Value;

use crate::records::snapshot;
use crate::support::{Sent, files, local_settings, random_members};

/// The entries that an event comes to, as JSON, after they were text.
fn through_text<P: Platform>(event: &str) -> (Vec<Value>, Vec<Value>) {
    let settings = local_settings("http://127.0.0.1:1");
    let platform = P::from_settings(&Settings::new(&|name| settings.get(name).cloned())).unwrap();
    let event = Event::parse(event).unwrap();
    let request = event.request(Timestamp::now()).unwrap();
    let entries: Vec<Entry<'_>> = match read(&platform, &request) {
        Ok(Decoded::Change(change)) => Record::new(P::NAME, platform.app_id(), change, &request, Some(1)).into(),
        Err(Unread::Undecodable(reason)) => Quarantined::new::<P>(platform.app_id(), reason, &request, None).into(),
        _ => panic!("nothing is written"),
    };
    let texts = entries.iter().map(Entry::to_text);
    let read_again = texts.map(|text| {
        assert!(text.len() <= MAX_TEXT_BYTES && text.starts_with("H4sI"), "{}", text.len());
        json(&Entry::from_text(&text).unwrap())
    });
    (read_again.collect(), entries.iter().map(json).collect())
}

fn json(entry: &Entry<'_>) -> Value {
    serde_json::to_value(entry).unwrap()
}

#[test]
fn an_entry_is_the_same_after_it_was_text() {
    for (name, event) in files("events") {
        let through_text =
            if name.starts_with("openim") { through_text::<OpenIm> } else { through_text::<TencentChat> };
        let (read_again, entries) = through_text(&event);
        assert_eq!(read_again, entries, "{name}");
    }
    // Every kind of detail, and texts that trip readers up.
    let body = r#"{"callbackCommand":"callbackAfterCreateGroupCommand","groupID":"\u0000\uffff","groupName":"","needVerification":1,
        "initMemberList":[{"userID":"\ud83d\ude00"}],"further":[{"a":null,"b":true}]}"#;
    let quarantined = Sent::post("/openim/callbackAfterQuitGroupCommand", "command=x", b"{\xff".to_vec());
    for sent in [Sent::post("/openim", "", body), quarantined.header("operationID", "op-1")] {
        let (read_again, entries) = through_text::<OpenIm>(&sent.event());
        assert_eq!(read_again, entries);
    }
}

/// As large as a body can be, and small when compressed.
#[test]
fn a_large_entry_keeps_what_changed() {
    for bytes in [20_000, 1_048_450] {
        let name = "a".repeat(bytes);
        let body = format!(r#"{{"CallbackCommand":"Group.CallbackAfterCreateGroup","GroupId":"g","Name":"{name}"}}"#);
        let sent = Sent::post("/tencent-chat", "SdkAppid=1400000000", body);
        let (read_again, entries) = through_text::<TencentChat>(&sent.event());
        assert!(read_again == entries, "{bytes}");
    }
}

#[test]
fn an_entry_says_what_it_is() {
    let said: Vec<_> = files("tests/entries")
        .into_iter()
        .map(|(name, text)| {
            let entry = Entry::from_text(text.trim()).unwrap();
            (name, entry.platform().map(str::to_owned), entry.kind())
        })
        .collect();
    let said: Vec<_> = said.iter().map(|(name, platform, kind)| (name.as_str(), platform.as_deref(), *kind)).collect();
    assert_eq!(
        said,
        [
            ("part", None, None),
            ("quarantined", Some("openim"), None),
            ("record", Some("tencent-chat"), Some("group.created")),
        ]
    );
}

/// What earlier versions wrote. A change of the form that cannot read these loses what is in a queue when it is deployed.
#[test]
fn what_earlier_versions_wrote_is_read() {
    for (name, text) in files("tests/entries") {
        snapshot(&format!("entry-{name}"), &json(&Entry::from_text(text.trim()).unwrap()));
    }
}

#[test]
fn what_is_no_entry_is_refused() {
    let (name, text) = files("tests/entries").remove(0);
    let text = text.trim();
    let (head, tail) = text.split_at(text.len() / 2);
    let damaged = format!("{head}AAAA{tail}");
    for no_entry in ["", "no entry", "H4sI", "e30=", head, tail, &damaged] {
        assert_eq!(Entry::from_text(no_entry).err(), Some(NotAnEntry), "{name}: {no_entry}");
    }
}

/// What changed goes before the body does: that tells it.
#[test]
fn a_record_that_is_too_long_for_a_message_goes_without_what_changed() {
    let body = format!(
        r#"{{"CallbackCommand":"Group.CallbackAfterCreateGroup","GroupId":"g","EventTime":1715049600123,"MemberList":[{}]}}"#,
        random_members(500_000)
    );
    let (read_again, entries) =
        through_text::<TencentChat>(&Sent::post("/tencent-chat", "SdkAppid=1400000000", body).event());
    assert_eq!(read_again.len(), entries.len());
    let (last, original) = (read_again.last().unwrap(), entries.last().unwrap());
    let details = |entry: &Value| entry["record"]["change"]["details"].as_array().unwrap().len();
    assert_eq!([details(last), details(original)], [0, 1]);
    assert_eq!([&last["record"]["details_omitted"], &original["record"]["details_omitted"]], [true, false]);
    assert_eq!(last["record"]["raw"], original["record"]["raw"]);
}
