//! Whatever is sent is answered in the platform's words: no panic, and no record of what is no callback.

use std::borrow::Cow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use group_ledger::domain::quarantine::Undecodable;
use group_ledger::domain::rejection::Rejection;
use group_ledger::domain::request::{Request, Verified};
use group_ledger::domain::timestamp::Timestamp;
use group_ledger::ingest::receive::{Outcome, read};
use group_ledger::platform::openim::OpenIm;
use group_ledger::platform::tencent_chat::TencentChat;
use group_ledger::platform::{Decoded, Platform};
use group_ledger::settings::{SettingError, Settings};
use group_ledger::storage::envelope::Envelope;
use group_ledger::storage::ledger::Written;
use serde_json::{Value, json};

use crate::ledger::receipt;
use crate::support::lambda::Function;
use crate::support::{PATIENCE, Sent, Table, assert_answer, files, handle, local_settings};

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
    for event in events.iter().map(ToString::to_string).chain([deep]) {
        let what = event.get(..80).unwrap_or(&event);
        assert_answer::<TencentChat>(&handle(&tencent_chat, &event).await, 400, what);
        assert_answer::<OpenIm>(&handle(&openim, &event).await, 400, what);
    }
    assert!(table.records().is_empty());
}

/// Hosts, protocols, stages, paths, queries and bodies on which `lambda_http` panics, or which it reads as something else.
fn odd_events() -> Vec<Value> {
    let event = |change: &dyn Fn(&mut Value)| {
        let body = r#"{"callbackCommand":"callbackAfterQuitGroupCommand","groupID":"g1"}"#;
        let mut event: Value = serde_json::from_str(&Sent::post("/openim", "", body).event()).unwrap();
        change(&mut event);
        event
    };
    let mut events = Vec::new();
    for host in ["a b", "[", "a:99999", "a%b", "xn--", "", "user@host:1/path?query#fragment", "群"] {
        events.push(event(&|event| event["headers"]["host"] = json!(host)));
        events.push(event(&|event| event["requestContext"]["domainName"] = json!(host)));
    }
    for proto in ["", "://", "a b", "javascript", "群"] {
        events.push(event(&|event| event["headers"]["x-forwarded-proto"] = json!(proto)));
    }
    for stage in ["", "$default", "prod", "a b", "../.."] {
        events.push(event(&|event| event["requestContext"]["stage"] = json!(stage)));
    }
    for path in
        ["", "@[", "openim", "//", "/a/../b", "/?a#b", "/\\\\", "/\u{0}\t\n", "/群", "/%zz%", "/{a}`\"<>", "/a:b@c"]
    {
        events.push(event(&|event| event["rawPath"] = json!(path)));
    }
    for query in ["a b", "\"", "<>", "#", "\u{0}", "群=\u{1f600}", "%", "%ff=%fe", "&&=&", "?", &"a=b&".repeat(4_000)]
    {
        events.push(event(&|event| event["rawQueryString"] = json!(query)));
    }
    events.push(event(&|event| event["cookies"] = json!(["a=\u{0}", "群"])));
    events.push(event(&|event| event["headers"]["authorization"] = json!("Basic 群")));
    events
}

/// Each is genuine and understood, whatever is odd about it: it is recorded.
#[tokio::test]
async fn what_is_odd_about_an_event_does_not_matter() {
    for event in odd_events() {
        let table = Table::start().await;
        let response = handle(&table.receiver::<OpenIm>(&[]), &event.to_string()).await;
        assert_answer::<OpenIm>(&response, 200, &event.to_string());
        assert_eq!(table.records().len(), 1, "{event}");
    }
}

/// API Gateway takes 10 KB of request line and headers.
#[tokio::test]
async fn a_url_that_api_gateway_would_not_take_is_rejected() {
    let table = Table::start().await;
    let body = r#"{"callbackCommand":"callbackAfterQuitGroupCommand","groupID":"g1"}"#;
    let path = "/openim";
    for (bytes, status) in [(32 * 1024, 200), (32 * 1024 + 1, 400)] {
        let sent = Sent::post(path, &"q".repeat(bytes - (path.len() - 1)), body);
        assert_answer::<OpenIm>(&sent.to(&table.receiver::<OpenIm>(&[])).await, status, "long query");
    }
}

/// The built function answers each through Lambda's Runtime API; none is a failed invocation.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_function_answers_whatever_it_is_invoked_with() {
    let table = Table::start().await;
    let function = Function::start("openim", &table.settings(&[])).await;
    let no_events =
        [json!(null), json!(1), json!({}), json!({ "headers": { "群": "x" } }), json!({ "requestContext": 1 })];
    let events = odd_events();
    let statuses = [(200, events.as_slice()), (400, no_events.as_slice())];
    for (status, event) in statuses.iter().flat_map(|(status, events)| events.iter().map(move |event| (status, event)))
    {
        let answer = function.invoke(event.to_string(), PATIENCE).await.body.unwrap_or_else(|| panic!("{event}"));
        assert_eq!(serde_json::from_str::<Value>(&answer).unwrap()["statusCode"], *status, "{event}");
    }
    assert!(!function.kill().await.contains("panic"));
}

/// The server sends it in a header, in whatever characters the caller chose; the digest has it.
#[tokio::test]
async fn an_operation_id_may_be_chinese() {
    let table = Table::start().await;
    let body = r#"{"callbackCommand":"callbackAfterQuitGroupCommand","groupID":"g1"}"#;
    let sent = Sent::post("/openim", "", body).header("operationID", "操作-1");
    assert_answer::<OpenIm>(&sent.to(&table.receiver::<OpenIm>(&[])).await, 200, "Chinese");
    let record = table.records().remove(0);
    assert_eq!(record["source"]["operation_id"], "操作-1");
    // As it was before the request came by way of `http::Request`.
    assert_eq!(record["digest"], "27102e3b655f26f0e33ace1ae973faa0954a10ef04be3ef4e904f9d1e1db70cb");
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
                assert_ne!(sent.to(&openim).await.status(), 200, "{url} {query} {body}");
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
    let http = crate::support::http(&event);
    let request = Request::of(&http, Timestamp::now());
    read(&platform, &request).is_ok()
}

/// OpenIM with defects: its decoder panics at groups called `decode`, its check of the sender at such called `verify`, its
/// answer at such called `respond`; and what is made of a genuine callback panics so many times.
pub(crate) struct Defective(OpenIm, AtomicUsize);

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
        ("2", Outcome::NotStored, 0, 1),
        ("3", Outcome::NotStored, 0, 0),
    ] {
        let table = Table::start().await;
        let receiver = table.receiver::<Defective>(&[("PANICS", panics)]);
        let sent = Sent::post("/openim", "", body);
        let texts = receipt(&receiver, &sent, |receipt| {
            assert_eq!(receipt.outcome, outcome, "{panics}");
            assert_eq!(receipt.command.as_deref(), Some("callbackAfterQuitGroupCommand"), "{panics}");
            assert_eq!(receipt.kind, Some("member.left"), "{panics}");
            receipt.unstored.clone()
        })
        .await;
        assert_eq!((table.quarantined().len(), texts.len()), (quarantined, logged), "{panics}");
        // What the log has ends in quarantine too, for a version without the defect.
        for text in texts {
            let envelopes = Envelope::from_text(&text).unwrap();
            assert_eq!(receiver.ledger().write(&envelopes, PATIENCE).await, Ok(Written::Recorded));
            let kept = table.quarantined().remove(0);
            assert_eq!([&kept["raw"], &kept["code"]], [&json!(body), &json!(50001)]);
        }
    }
}
