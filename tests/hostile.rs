//! Whatever is sent is answered in the platform's words: no panic, and no record of what is no callback.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use group_ledger::domain::callback::Callback;
use group_ledger::domain::quarantine::Undecodable;
use group_ledger::domain::rejection::Rejection;
use group_ledger::domain::request::{Request, Verified};
use group_ledger::domain::timestamp::Timestamp;
use group_ledger::ingest::read;
use group_ledger::ingest::receive::{Outcome, Receiver};
use group_ledger::platform::{Decoded, PLATFORMS, Platform, Registration};
use group_ledger::storage::envelope::Envelope;
use group_ledger::storage::ledger::Written;
use http::Response;
use serde_json::{Value, json};

use crate::ledger::receipt;
use crate::support::lambda::Function;
use crate::support::{
    OPENIM, Sent, TEST_TIMEOUT, Table, all, assert_answer, change, files, handle, platform, platform_of, response,
    store,
};

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
    for platform in all() {
        let receiver = table.receiver(platform, &[]);
        for event in events.iter().map(ToString::to_string).chain([deep.clone()]) {
            let what = event.get(..80).unwrap_or(&event);
            assert_answer(platform, &handle(&receiver, &event).await, 400, what);
        }
    }
    assert!(table.records().is_empty());
}

/// Hosts, protocols, stages, paths, queries and bodies on which `lambda_http` panics, or which it reads as something else.
pub(crate) fn odd_events(platform: &Registration) -> Vec<Value> {
    let event = |make_odd: &dyn Fn(&mut Value)| {
        let mut event: Value = serde_json::from_str(&change(platform).event()).unwrap();
        make_odd(&mut event);
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
        let own = change(platform).query;
        let query = if own.is_empty() { query.to_owned() } else { format!("{own}&{query}") };
        events.push(event(&|event| event["rawQueryString"] = json!(query)));
    }
    events.push(event(&|event| event["cookies"] = json!(["a=\u{0}", "群"])));
    events.push(event(&|event| event["headers"]["authorization"] = json!("Basic 群")));
    events
}

/// Each is genuine and understood, whatever is odd about it: it is recorded.
#[tokio::test]
async fn what_is_odd_about_an_event_does_not_matter() {
    for platform in all() {
        for event in odd_events(platform) {
            let table = Table::start().await;
            let response = handle(&table.receiver(platform, &[]), &event.to_string()).await;
            assert_answer(platform, &response, 200, &event.to_string());
            assert_eq!(table.records().len(), 1, "{event}");
        }
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
        assert_answer(OPENIM, &sent.to(&table.receiver(OPENIM, &[])).await, status, "long query");
    }
}

/// The built function answers each through Lambda's Runtime API; none is a failed invocation.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_function_answers_whatever_it_is_invoked_with() {
    for platform in PLATFORMS {
        function_answers(platform).await;
    }
}

/// Invokes a platform's function with what is odd, and with what is no event.
pub(crate) async fn function_answers(platform: &Registration) {
    let table = Table::start().await;
    let function = Function::start(platform.name, &table.settings(&[("METRICS_NAMESPACE", "Here")])).await;
    let mut answered = 0;
    let no_events =
        [json!(null), json!(1), json!({}), json!({ "headers": { "群": "x" } }), json!({ "requestContext": 1 })];
    for (status, events) in [(200, odd_events(platform)), (400, no_events.into())] {
        for event in events {
            let answer =
                function.invoke(event.to_string(), TEST_TIMEOUT).await.body.unwrap_or_else(|| panic!("{event}"));
            assert_answer(platform, &response(&answer), status, &event.to_string());
            answered += 1;
        }
    }
    let log = function.kill().await;
    assert!(!log.contains("panic"));
    assert_eq!(log.lines().filter(|line| line.contains(r#"{"_aws":"#)).count(), answered, "a line of metrics each");
}

/// The server sends it in a header, in whatever characters the caller chose; the digest has it.
#[tokio::test]
async fn an_operation_id_may_be_chinese() {
    let table = Table::start().await;
    let body = r#"{"callbackCommand":"callbackAfterQuitGroupCommand","groupID":"g1"}"#;
    let sent = Sent::post("/openim", "", body).header("operationID", "操作-1");
    assert_answer(OPENIM, &sent.to(&table.receiver(OPENIM, &[])).await, 200, "Chinese");
    let record = table.records().remove(0);
    assert_eq!(record["source"]["operation_id"], "操作-1");
    // As it was before the request came by way of `http::Request`.
    assert_eq!(record["digest"], "27102e3b655f26f0e33ace1ae973faa0954a10ef04be3ef4e904f9d1e1db70cb");
}

#[tokio::test]
async fn odd_urls_are_answered() {
    let table = Table::start().await;
    for platform in all() {
        let receiver = table.receiver(platform, &[]);
        // Where nothing in the URL says whose app it is, it is nobody's; OpenIM's does not say.
        let status = if platform.sample_app.is_empty() { 400 } else { 403 };
        for url in ["", "/", "//", "/openim//", "/openim/\u{e9}\u{0}", "/%zz%"] {
            for query in ["", "&&=&", "%", "%ff=%fe", "command", "SdkAppid=%00", "\u{e9}=\u{1f600} \"<>"] {
                for body in ["{}", "x", r#"{"callbackCommand":{},"CallbackCommand":[]}"#] {
                    let what = format!("{url} {query} {body}");
                    assert_answer(platform, &Sent::post(url, query, body).to(&receiver).await, status, &what);
                }
            }
        }
        for method in ["GET", "PUT", "DELETE", "HEAD", "OPTIONS", "post", ""] {
            let sent = Sent { method: method.into(), ..change(platform) };
            assert_answer(platform, &sent.to(&receiver).await, 405, method);
        }
    }
    assert!(table.records().is_empty());
}

/// Every beginning of every sample's body, and every body with one byte replaced.
#[test]
fn damaged_bodies_do_not_panic() {
    let changes = all().map(|platform| (platform.name.to_owned(), change(platform).event()));
    for (name, event) in files("events").into_iter().chain(changes) {
        let event: Value = serde_json::from_str(&event).unwrap();
        if event["isBase64Encoded"] == true {
            continue;
        }
        let platform = platform(platform_of(&name), &[]);
        let damage = |sent: &Sent| is_understood(&*platform, sent);
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
fn is_understood(platform: &dyn Platform, sent: &Sent) -> bool {
    let event = sent.event();
    let http = crate::support::http(&event);
    let request = Request::of(&http, Timestamp::now());
    match read::verify(platform, &request) {
        Ok(Some(verified)) => read::decode(platform, &read::parse(platform, verified).0).is_ok(),
        verified => verified.is_ok(),
    }
}

/// `OpenIM` with defects: its check of the sender panics at groups called `verify`, its parser at such called `parse`, its
/// decoder at such called `decode`, its answer at such called `respond`; and what is made of a genuine callback panics so many
/// times.
#[derive(Debug)]
struct Defective(Box<dyn Platform>, AtomicUsize);

/// A receiver of defective `OpenIM`'s callbacks, in which making what is stored of a callback panics so many times.
pub(crate) fn defective(table: &Table, panics: usize) -> Receiver {
    let defective = Defective(platform(OPENIM, &[]), AtomicUsize::new(panics));
    let settings = table.settings(&[]);
    Receiver::new(Box::new(defective), store(&settings), None, None)
}

impl Platform for Defective {
    fn registration(&self) -> &'static Registration {
        self.0.registration()
    }

    fn app_id(&self) -> &str {
        let panics = self.1.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        assert!(panics.is_err(), "a defect");
        self.0.app_id()
    }

    fn sender_timeout(&self) -> Duration {
        self.0.sender_timeout()
    }

    fn retries_after_timeout(&self) -> bool {
        self.0.retries_after_timeout()
    }

    fn url_command<'r>(&self, request: &'r Request<'_>) -> Option<&'r str> {
        self.0.url_command(request)
    }

    fn verify<'r, 'a>(&self, request: &'r Request<'a>) -> Result<Verified<'r, 'a>, Rejection> {
        assert!(!request.body.ends_with(br#""verify"}"#), "a defect");
        self.0.verify(request)
    }

    fn is_known_caller(&self, request: &Request<'_>) -> bool {
        self.0.is_known_caller(request)
    }

    fn parse<'r>(&self, request: Verified<'r, '_>) -> Callback<'r> {
        assert!(!request.request().body.ends_with(br#""parse"}"#), "a defect");
        self.0.parse(request)
    }

    fn records(&self, command: &str) -> bool {
        self.0.records(command)
    }

    fn decode<'c>(&self, callback: &'c Callback<'_>) -> Result<Decoded<'c>, Undecodable<'c>> {
        assert!(!callback.body.ends_with(br#""decode"}"#), "a defect");
        self.0.decode(callback)
    }

    fn respond(&self, request: Option<&Request<'_>>, outcome: Result<(), Rejection>) -> Response<String> {
        assert!(!request.is_some_and(|request| request.body.ends_with(br#""respond"}"#)), "a defect");
        self.0.respond(request, outcome)
    }
}

#[tokio::test]
async fn a_panic_is_answered_and_ends_nothing_else() {
    let table = Table::start().await;
    let receiver = defective(&table, 0);
    for (group, status, kept) in
        [("verify", 500, 0), ("parse", 500, 1), ("decode", 500, 2), ("g1", 200, 2), ("respond", 200, 2)]
    {
        let sent = Sent::post("/openim/callbackAfterQuitGroupCommand", "", format!(r#"{{"groupID":"{group}"}}"#));
        assert_answer(OPENIM, &sent.to(&receiver).await, status, group);
        assert_eq!(table.quarantined().len(), kept, "{group}");
    }
    assert_eq!(table.quarantined()[0]["code"], 50001, "for a decoder without the defect");
    assert_eq!(table.records().len(), 2);
    // What is not recorded is not kept.
    for group in ["parse", "decode"] {
        let body = format!(r#"{{"groupID":"{group}"}}"#);
        let message = Sent::post("/openim/callbackAfterSendGroupMsgCommand", "", body);
        assert_answer(OPENIM, &message.to(&receiver).await, 200, "message");
    }
    assert_eq!(table.quarantined().len(), 2);
}

/// After decoding: in making the record, then in making what quarantine has, then in making what the log has.
#[tokio::test]
async fn a_panic_after_decoding_keeps_the_callback() {
    let body = r#"{"callbackCommand":"callbackAfterQuitGroupCommand","groupID":"g1"}"#;
    for (panics, outcome, quarantined, logged) in [
        (0, Outcome::Recorded, 0, 0),
        (1, Outcome::Quarantined(Rejection::DEFECT), 1, 0),
        (2, Outcome::NotStored, 0, 1),
        (3, Outcome::NotStored, 0, 0),
    ] {
        let table = Table::start().await;
        let receiver = defective(&table, panics);
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
            assert_eq!(receiver.store().ledger().write(&envelopes, TEST_TIMEOUT).await, Ok(Written::Recorded));
            let kept = table.quarantined().remove(0);
            assert_eq!([&kept["raw"], &kept["code"]], [&json!(body), &json!(50001)]);
        }
    }
}
