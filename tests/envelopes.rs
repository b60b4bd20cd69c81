//! Entries as text: what a queue or a log holds is read again, whichever version wrote it.

use group_ledger::domain::quarantine::{Quarantined, Undecoded};
use group_ledger::domain::record::Record;
use group_ledger::domain::rejection::Rejection;
use group_ledger::domain::request::Request;
use group_ledger::domain::timestamp::Timestamp;
use group_ledger::ingest::read::{self, DecodeFailure};
use group_ledger::platform::{Decoded, Registration};
use group_ledger::storage::envelope::{
    Envelope, MAX_PIECE_BYTES, MAX_TEXT_BYTES, NotAnEnvelope, Texts, pieces, undecoded_text,
};
use serde_json::{Value, json as object};

use crate::records::snapshot;
use crate::support::{OPENIM, Sent, TENCENT_CHAT, files, platform, platform_of, random_members};

/// The envelopes that an event comes to, as JSON, after they were text.
fn through_text(registration: &Registration, event: &str) -> (Vec<Value>, Vec<Value>) {
    let platform = platform(registration, &[]);
    let http = crate::support::http(event);
    let request = Request::of(&http, Timestamp::now());
    let (callback, _) = read::parse(&*platform, read::verify(&*platform, &request).unwrap().unwrap());
    let envelopes: Vec<Envelope<'_>> = match read::decode(&*platform, &callback) {
        Ok(Decoded::Change(change)) => {
            Record::new(platform.name(), platform.app_id(), change, &callback, Some(1)).into()
        }
        Err(DecodeFailure::Undecodable(reason)) => {
            let undecoded = Undecoded::new(platform.name(), platform.app_id(), reason, callback.clone(), None);
            Quarantined::from(undecoded).into()
        }
        _ => panic!("nothing is written"),
    };
    let texts = envelopes.iter().map(Envelope::to_text);
    let read_again = texts.map(|text| {
        assert!(text.len() <= MAX_TEXT_BYTES && text.starts_with("H4sI"), "{}", text.len());
        json(&one(&text))
    });
    (read_again.collect(), envelopes.iter().map(json).collect())
}

/// The one envelope of a text.
fn one(text: &str) -> Envelope<'static> {
    let mut envelopes = Envelope::from_text(text).unwrap();
    assert_eq!(envelopes.len(), 1);
    envelopes.remove(0)
}

fn json(envelope: &Envelope<'_>) -> Value {
    serde_json::to_value(envelope).unwrap()
}

#[test]
fn an_envelope_is_the_same_after_it_was_text() {
    for (name, event) in files("events") {
        let (read_again, envelopes) = through_text(platform_of(&name), &event);
        assert_eq!(read_again, envelopes, "{name}");
    }
    // Every kind of detail, and texts that trip readers up.
    let body = r#"{"callbackCommand":"callbackAfterCreateGroupCommand","groupID":"\u0000\uffff","groupName":"","needVerification":1,
        "initMemberList":[{"userID":"\ud83d\ude00"}],"further":[{"a":null,"b":true}]}"#;
    let quarantined = Sent::post("/openim/callbackAfterQuitGroupCommand", "command=x", b"{\xff".to_vec());
    for sent in [Sent::post("/openim", "", body), quarantined.header("operationID", "op-1")] {
        let (read_again, envelopes) = through_text(OPENIM, &sent.event());
        assert_eq!(read_again, envelopes);
    }
}

/// As large as a body can be, and small when compressed.
#[test]
fn a_large_envelope_keeps_what_changed() {
    for bytes in [20_000, 1_048_450] {
        let name = "a".repeat(bytes);
        let body = format!(r#"{{"CallbackCommand":"Group.CallbackAfterCreateGroup","GroupId":"g","Name":"{name}"}}"#);
        let sent = Sent::post("/tencent-chat", "SdkAppid=1400000000", body);
        let (read_again, envelopes) = through_text(TENCENT_CHAT, &sent.event());
        assert!(read_again == envelopes, "{bytes}");
    }
}

#[test]
fn an_envelope_says_what_it_is() {
    let said: Vec<_> = files("tests/envelopes")
        .into_iter()
        .map(|(name, text)| {
            let envelope = one(text.trim());
            let room = envelope.group_key().split('#').next().unwrap().to_owned();
            (name, room, envelope.platform().map(str::to_owned), envelope.kind())
        })
        .collect();
    let said: Vec<_> = said
        .iter()
        .map(|(name, room, platform, kind)| (name.as_str(), room.as_str(), platform.as_deref(), *kind))
        .collect();
    assert_eq!(
        said,
        [
            ("callback", "quarantine", Some("openim"), None),
            ("part", "raw", None, None),
            ("quarantined", "quarantine", Some("openim"), None),
            ("record", "tencent-chat", Some("tencent-chat"), Some("group.created")),
            ("record-in-parts", "tencent-chat", Some("tencent-chat"), Some("group.created")),
        ]
    );
}

/// What earlier versions wrote. A change of the form that cannot read these loses what is in a queue when it is deployed.
#[test]
fn what_earlier_versions_wrote_is_read() {
    for (name, text) in files("tests/envelopes") {
        snapshot(&format!("envelope-{name}"), &json(&one(text.trim())));
    }
}

#[test]
fn what_is_no_envelope_is_rejected() {
    let (name, text) = files("tests/envelopes").remove(1);
    let text = text.trim();
    let (head, tail) = text.split_at(text.len() / 2);
    let damaged = format!("{head}AAAA{tail}");
    for no_envelope in ["", "no envelope", "H4sI", "e30=", head, tail, &damaged] {
        assert_eq!(Envelope::from_text(no_envelope).err(), Some(NotAnEnvelope), "{name}: {no_envelope}");
    }
}

/// What changed goes before the body does: that tells it.
#[test]
fn a_record_that_is_too_long_for_a_message_goes_without_what_changed() {
    let body = format!(
        r#"{{"CallbackCommand":"Group.CallbackAfterCreateGroup","GroupId":"g","EventTime":1715049600123,"MemberList":[{}]}}"#,
        random_members(740_000)
    );
    let (read_again, envelopes) =
        through_text(TENCENT_CHAT, &Sent::post("/tencent-chat", "SdkAppid=1400000000", body).event());
    assert_eq!((read_again.len(), envelopes.len()), (1, 1));
    let details = |envelope: &Value| envelope["record"]["change"]["details"].as_array().unwrap().len();
    assert_eq!([details(&read_again[0]), details(&envelopes[0])], [0, 1]);
    let omitted = |envelope: &Value| envelope["record"]["details_omitted"].clone();
    assert_eq!([omitted(&read_again[0]), omitted(&envelopes[0])], [true, false]);
    assert_eq!(read_again[0]["record"]["raw"], envelopes[0]["record"]["raw"]);
}

/// One line of log up to what CloudWatch takes in a line.
#[test]
fn only_a_long_text_is_in_pieces() {
    assert_eq!(pieces(&"x".repeat(200_000)), ["x".repeat(200_000)]);
    let text = "x".repeat(1_000_000);
    let pieces = pieces(&text);
    assert!(pieces.len() > 3 && pieces.iter().all(|piece| piece.len() < 256 * 1024), "{}", pieces.len());
}

#[test]
fn texts_are_found_in_a_log_of_any_form() {
    let [long, other] = ["a", "b"].map(|unit| format!("H4sI{}", unit.repeat(2 * MAX_PIECE_BYTES)));
    let mut lines: Vec<String> = [long.as_str(), "H4sIwhole==", &other, "eyJjYWxsYmFjayI6e30="]
        .iter()
        .flat_map(|text| pieces(text))
        .map(|piece| {
            object!({ "message": object!({ "envelope": piece, "request_id": "H-1" }).to_string() }).to_string()
        })
        .collect();
    // In any order, and some twice.
    lines.reverse();
    lines.push(lines[3].clone());
    lines.insert(0, "a line - with H4s and PIECE- in it, and PIECE-x-y-z-H4s".to_owned());
    let whole_log = lines.join("\n");
    let mut found = Texts::find(&whole_log);
    found.whole.sort();
    assert_eq!(found.whole, [long.as_str(), &other, "H4sIwhole==", "eyJjYWxsYmFjayI6e30="]);
    assert_eq!(found.incomplete, 0);

    let missing = lines.iter().filter(|line| !line.contains("-1-3-")).cloned().collect::<Vec<_>>().join("\n");
    let found = Texts::find(&missing);
    assert_eq!((found.whole.len(), found.incomplete), (2, 2));
}

#[test]
fn a_callback_kept_as_it_came_comes_to_envelopes() {
    let sent = Sent::post("/openim/callbackAfterQuitGroupCommand", "command=x&token=s", random_members(1_000_000));
    let event = sent.header("operationID", "op-1").event();
    let http = crate::support::http(&event);
    let request = Request::of(&http, Timestamp::now());
    let platform = platform(OPENIM, &[]);
    let (callback, _) = read::parse(&*platform, read::verify(&*platform, &request).unwrap().unwrap());
    let undecoded = Undecoded::new(platform.name(), "openim", Rejection::DEFECT.into(), callback, Some(1));
    let envelopes: Vec<Envelope<'_>> = Quarantined::from(undecoded.clone()).into();
    let read_again = Envelope::from_text(&undecoded_text(&undecoded)).unwrap();
    assert!(read_again.len() > 1, "in parts");
    assert!(read_again.iter().map(json).eq(envelopes.iter().map(json)));
}
