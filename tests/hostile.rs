//! Whatever is sent is answered in the platform's words: no panic, and no record of what is no callback.

use std::borrow::Cow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use group_ledger::domain::quarantine::Undecodable;
use group_ledger::domain::rejection::Rejection;
use group_ledger::domain::request::{Request, Verified};
use group_ledger::domain::timestamp::Timestamp;
use group_ledger::host::event::Event;
use group_ledger::host::function;
use group_ledger::ingest::receive::{Outcome, read};
use group_ledger::platform::openim::OpenIm;
use group_ledger::platform::tencent_chat::TencentChat;
use group_ledger::platform::{Decoded, Platform};
use group_ledger::settings::{SettingError, Settings};
use group_ledger::storage::envelope::Envelope;
use group_ledger::storage::ledger::Stored;
use serde_json::json;

use crate::ledger::receipt;
use crate::support::{PATIENCE, Sent, Table, assert_answer, files, local_settings};

#[tokio::test]
async fn what_is_no_api_gateway_event_is_rejected() {
    let context = json!({ "http": { "method": "POST" } });
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let events = [
        json!(null),
        json!(1),
        json!("POST"),
        json!([]),
        json!({}),
        json!({ "requestContext": null }),
        json!({ "requestContext": [] }),
        json!({ "requestContext": { "http": "POST" } }),
        json!({ "requestContext": { "http": { "method": 1 } } }),
        json!({ "requestContext": context, "body": 1 }),
        json!({ "requestContext": context, "body": {} }),
        json!({ "requestContext": context, "body": "%%%", "isBase64Encoded": true }),
        json!({ "requestContext": context, "body": "e30", "isBase64Encoded": true }),
    ];
    let table = Table::start().await;
    let (tencent_chat, openim) = (table.receiver::<TencentChat>(&[]), table.receiver::<OpenIm>(&[]));
    for event in events.iter().map(ToString::to_string).chain([String::new(), "{".into(), deep]) {
        let what = event.get(..80).unwrap_or(&event);
        assert_answer::<TencentChat>(&function::handle(&tencent_chat, &event, None).await, 400, what);
        assert_answer::<OpenIm>(&function::handle(&openim, &event, None).await, 400, what);
    }
    assert!(table.records().is_empty());
}

#[tokio::test]
async fn odd_parts_of_an_event_are_as_good_as_absent() {
    let event = json!({
        "rawPath": ["/openim"],
        "rawQueryString": 7,
        "headers": { "operationid": null, "authorization": [1], "host": "a b\u{0}/?#[", "x-forwarded-proto": "://" },
        "requestContext": { "http": { "method": "POST" }, "timeEpoch": "soon", "requestId": {} },
        "body": r#"{"callbackCommand":"callbackAfterSetGroupInfoExCommand","groupID":"g1"}"#,
        "isBase64Encoded": "no",
    });
    let table = Table::start().await;
    let response = function::handle(&table.receiver::<OpenIm>(&[]), &event.to_string(), None).await;
    assert_answer::<OpenIm>(&response, 200, "odd event");
    assert!(table.records()[0].get("request_id").is_none());
}

#[tokio::test]
async fn odd_urls_are_answered() {
    let table = Table::start().await;
    let (tencent_chat, openim) = (table.receiver::<TencentChat>(&[]), table.receiver::<OpenIm>(&[]));
    for url in ["", "/", "//", "/openim//", "/openim/\u{e9}\u{0}", "/%zz%"] {
        for query in ["", "&&=&", "%", "%ff=%fe", "command", "SdkAppid=%00", "\u{e9}=\u{1f600} \"<>"] {
            for body in ["{}", "x", r#"{"callbackCommand":{},"CallbackCommand":[]}"#] {
                let sent = Sent::post(url, query, body);
                assert_answer::<TencentChat>(&sent.to(&tencent_chat).await, 403, url);
                assert_ne!(sent.to(&openim).await.status_code, 200, "{url} {query} {body}");
            }
        }
    }
    for method in ["GET", "PUT", "DELETE", "HEAD", "OPTIONS", "post", ""] {
        let sent = Sent { method: method.into(), ..Sent::post("/openim", "", "{}") };
        assert_answer::<TencentChat>(&sent.to(&tencent_chat).await, 405, method);
        assert_answer::<OpenIm>(&sent.to(&openim).await, 405, method);
    }
    assert!(table.records().is_empty());
}

/// Every beginning of every sample's body, and every body with one byte replaced.
#[test]
fn damaged_bodies_do_not_panic() {
    for (name, event) in files("events") {
        let event: serde_json::Value = serde_json::from_str(&event).unwrap();
        if event["isBase64Encoded"] == true {
            continue;
        }
        let damage = if name.starts_with("openim") { damage::<OpenIm> } else { damage::<TencentChat> };
        let body = event["body"].as_str().unwrap().as_bytes();
        let (path, query) = (event["rawPath"].as_str().unwrap(), event["rawQueryString"].as_str().unwrap());
        let mut understood = 0;
        for at in 0..body.len() {
            let beginning = damage(&Sent::post(path, query, &body[..at]));
            assert!(!beginning || body[at..].trim_ascii().is_empty(), "{name}: the first {at} bytes are no callback");
            for byte in [0, b'"', b'\\', b'{', b'}', b'0', b',', 0xff, b'-'] {
                let mut body = body.to_vec();
                body[at] = byte;
                understood += usize::from(damage(&Sent::post(path, query, body)));
            }
        }
        assert!(understood > 0, "{name}: damage inside a text leaves a callback");
    }
}

/// Whether a request is still understood.
fn damage<P: Platform>(sent: &Sent) -> bool {
    let settings = local_settings("http://127.0.0.1:1");
    let platform = P::from_settings(&Settings::new(&|name| settings.get(name).cloned())).unwrap();
    let event = sent.event();
    let event = Event::parse(&event).unwrap();
    let request = event.request(Timestamp::now()).unwrap();
    read(&platform, &request).is_ok()
}

/// OpenIM with defects: its decoder panics at groups called `decode`, its check of the sender at such called `verify`, its
/// answer at such called `respond`; and what is made of a genuine callback panics so many times.
struct Defective(OpenIm, AtomicUsize);

impl Platform for Defective {
    const NAME: &'static str = OpenIm::NAME;
    const SENDER_TIMEOUT: Duration = OpenIm::SENDER_TIMEOUT;
    const PARAMETERS: &'static [&'static str] = OpenIm::PARAMETERS;

    fn from_settings(settings: &Settings<'_>) -> Result<Self, SettingError> {
        let panics = settings.text("PANICS").map_or(0, |panics| panics.parse().unwrap());
        OpenIm::from_settings(settings).map(|openim| Self(openim, AtomicUsize::new(panics)))
    }

    fn retries_after_timeout(&self) -> bool {
        self.0.retries_after_timeout()
    }

    fn app_id(&self) -> &str {
        let panics = self.1.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        assert!(panics.is_err(), "a defect");
        self.0.app_id()
    }

    fn url_command<'r>(request: &'r Request<'_>) -> Option<&'r str> {
        OpenIm::url_command(request)
    }

    fn records(command: &str) -> bool {
        OpenIm::records(command)
    }

    fn verify<'r, 'a>(&self, request: &'r Request<'a>) -> Result<Verified<'r, 'a>, Rejection> {
        assert!(!request.body.ends_with(br#""verify"}"#), "a defect");
        self.0.verify(request)
    }

    fn decode<'r>(request: Verified<'r, '_>) -> Result<Decoded<'r>, Undecodable<'r>> {
        assert!(!request.request().body.ends_with(br#""decode"}"#), "a defect");
        OpenIm::decode(request)
    }

    fn is_known_caller(&self, request: &Request<'_>) -> bool {
        self.0.is_known_caller(request)
    }

    fn respond(request: Option<&Request<'_>>, rejection: Option<Rejection>) -> Cow<'static, str> {
        assert!(!request.is_some_and(|request| request.body.ends_with(br#""respond"}"#)), "a defect");
        OpenIm::respond(request, rejection)
    }
}

#[tokio::test]
async fn a_panic_is_answered_and_ends_nothing_else() {
    let table = Table::start().await;
    let receiver = table.receiver::<Defective>(&[]);
    for (group, status, kept) in [("verify", 500, 0), ("decode", 500, 1), ("g1", 200, 1), ("respond", 200, 1)] {
        let sent = Sent::post("/openim/callbackAfterQuitGroupCommand", "", format!(r#"{{"groupID":"{group}"}}"#));
        assert_answer::<OpenIm>(&sent.to(&receiver).await, status, group);
        assert_eq!(table.quarantined().len(), kept, "{group}");
    }
    assert_eq!(table.quarantined()[0]["code"], 50001, "for a decoder without the defect");
    assert_eq!(table.records().len(), 2);
    // What is not recorded is not kept.
    let message = Sent::post("/openim/callbackAfterSendGroupMsgCommand", "", r#"{"groupID":"decode"}"#);
    assert_answer::<OpenIm>(&message.to(&receiver).await, 200, "message");
    assert_eq!(table.quarantined().len(), 1);
}

/// After decoding: in making the record, then in making what quarantine has, then in making what the log has.
#[tokio::test]
async fn a_panic_after_decoding_keeps_the_callback() {
    let body = r#"{"callbackCommand":"callbackAfterQuitGroupCommand","groupID":"g1"}"#;
    for (panics, outcome, quarantined, logged) in [
        ("0", Outcome::Recorded, 0, 0),
        ("1", Outcome::Quarantined(Rejection::Defect), 1, 0),
        ("2", Outcome::NotStored(Rejection::Defect), 0, 1),
        ("3", Outcome::NotStored(Rejection::Defect), 0, 0),
    ] {
        let table = Table::start().await;
        let receiver = table.receiver::<Defective>(&[("PANICS", panics)]);
        let sent = Sent::post("/openim", "", body);
        let texts = receipt(&receiver, &sent, |receipt| {
            assert_eq!(receipt.outcome, outcome, "{panics}");
            assert_eq!(receipt.command.as_deref(), Some("callbackAfterQuitGroupCommand"), "{panics}");
            receipt.unstored.clone()
        })
        .await;
        assert_eq!((table.quarantined().len(), texts.len()), (quarantined, logged), "{panics}");
        // What the log has ends in quarantine too, for a version without the defect.
        for text in texts {
            let envelopes = Envelope::from_text(&text).unwrap();
            assert_eq!(receiver.ledger().write(&envelopes, PATIENCE).await, Ok(Stored::Recorded));
            let kept = table.quarantined().remove(0);
            assert_eq!([&kept["raw"], &kept["code"]], [&json!(body), &json!(50001)]);
        }
    }
}
