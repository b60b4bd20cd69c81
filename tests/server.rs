//! The same handlers outside Lambda: the built `server` over real sockets, held to what the functions are held to, and to what
//! only a server meets: slow senders, wrong HTTP, signals, senders that disconnect.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use group_ledger::domain::timestamp::Timestamp;
use group_ledger::platform::PLATFORMS;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

use crate::hostile::odd_events;
use crate::listener;
use crate::support::server::{Server, command};
use crate::support::{
    OPENIM, Sent, TENCENT_CHAT, TEST_TIMEOUT, Table, assert_answer, change, exchange, files, post, send,
};
use crate::{cases, records};

mod ending;
mod http;
mod operating;

/// A GET without a body.
fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n").into_bytes()
}

/// Serves answers on a port of its own, each after a while; its address.
async fn serve(delay: Duration, answer: impl Fn() -> Response<Full<Bytes>> + Clone + Send + 'static) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let service = service_fn(move |_: Request<Incoming>| {
        let answer = answer();
        async move {
            sleep(delay).await;
            Ok::<_, std::convert::Infallible>(answer)
        }
    });
    tokio::spawn(listener::serve(listener, service));
    address
}

/// Waits until the server reads the body of a request that expects `100-continue`.
async fn assert_continues(stream: &mut TcpStream) {
    let expected = b"HTTP/1.1 100 Continue\r\n\r\n";
    let mut answer = [0; 25];
    timeout(TEST_TIMEOUT, stream.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(&answer, expected);
}

/// Sends a good callback of each platform, which must be answered as success.
async fn assert_takes_callbacks(server: &Server, what: &str) {
    for platform in PLATFORMS {
        let answer = exchange(server.port, &change(platform).http()).await;
        assert_answer(platform, &answer.unwrap_or_else(|| panic!("{what}: no answer")), 200, what);
    }
}

/// A case's request as it would be sent now: what it says of its age stays true.
fn sent_now(case: &Value) -> Sent {
    let token = cases::token(case);
    let (then, requested) = (case["config"]["now_unix"].as_i64(), case["query"]["RequestTime"].as_str());
    let age = requested.and_then(|requested| Some(then? - requested.parse::<i64>().ok()?));
    let (Some(requested), Some(age)) = (requested, age.filter(|age| age.abs() < 3_600)) else {
        return cases::sent(case);
    };
    // What is just young enough would be too old a moment later.
    let age = if age == 60 { 55 } else { age };
    let zeros = requested.chars().take_while(|digit| *digit == '0').collect::<String>();
    let moved = format!("{zeros}{}", Timestamp::now().unix_millis() / 1_000 - age);
    let sign = |time: &str| hex::encode(Sha256::digest(format!("{token}{time}")));
    let mut case = case.clone();
    let query = &mut case["query"];
    if query["Sign"] == json!(sign(requested)) {
        query["Sign"] = json!(sign(&moved));
    }
    query["RequestTime"] = json!(moved);
    cases::sent(&case)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_case_comes_to_what_it_comes_to_in_a_function() {
    for platform in PLATFORMS {
        let table = Table::start().await;
        let servers = tokio::sync::Mutex::new(BTreeMap::new());
        cases::run(platform, async |case| {
            let token = cases::token(case).to_owned();
            let mut servers = servers.lock().await;
            if !servers.contains_key(&token) {
                servers.insert(token.clone(), Server::start(&table.settings(&[(platform.secrets, &token)])).await);
            }
            table.clear();
            let name = case["name"].as_str().unwrap();
            let answer = exchange(servers[&token].port, &sent_now(case).http()).await;
            (answer.unwrap_or_else(|| panic!("{name}: no answer")), table.records())
        })
        .await;
        for server in servers.into_inner().into_values() {
            server.end().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_raw_request_becomes_the_record_that_it_becomes_in_a_function() {
    let table = Table::start().await;
    let server = Server::start(&table.settings(&[])).await;
    for (name, request) in files("tests/wire") {
        table.clear();
        assert_eq!(send(server.port, request.as_bytes()).await.unwrap().0, 200, "{name}");
        let in_function = records::receive(OPENIM, &records::sent(&request).event(), &[]).await;
        let (records, expected) = (table.records(), in_function["records"].as_array().unwrap());
        assert_eq!(records.len(), expected.len(), "{name}");
        for (record, expected) in records.iter().zip(expected) {
            for field in ["group_key", "kind", "command", "change", "raw", "digest", "source", "operator"] {
                assert_eq!(record.get(field), expected.get(field), "{name}: {field}");
            }
        }
    }
    server.end().await;
}

/// Paths, queries and headers as they are in odd events: what HTTP does not allow is rejected before it is a callback, and all else
/// is recorded.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_odd_about_a_request_is_answered() {
    let table = Table::start().await;
    let server = Server::start(&table.settings(&[])).await;
    for platform in PLATFORMS {
        let mut recorded = 0;
        for event in odd_events(platform) {
            let headers = event["headers"].as_object().unwrap().clone();
            let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
            let sent = Sent { path: text("rawPath"), headers, ..Sent::post("", &text("rawQueryString"), text("body")) };
            table.clear();
            let (status, body) = send(server.port, &sent.http()).await.unwrap_or_else(|| panic!("{event}"));
            assert!([200, 400, 404].contains(&status), "{status} {body}: {event}");
            assert_eq!(table.records().len(), usize::from(status == 200), "{event}");
            recorded += usize::from(status == 200);
        }
        assert!(recorded > 20, "{recorded} odd requests of {} are recorded", platform.name);
    }
    for method in ["GET", "PUT", "DELETE", "HEAD", "OPTIONS", "post", "X"] {
        let sent = Sent { method: method.into(), ..change(TENCENT_CHAT) };
        let (status, _) = send(server.port, &sent.http()).await.unwrap();
        assert_eq!(status, 405, "{method}");
    }
    for path in ["/", "/tencent-chat/", "/openim/", "/ledger", "/ledger/v1/feed", "/metrics", "/tencent", "//openim"] {
        let (status, body) = send(server.port, &post(path, "{}")).await.unwrap();
        assert_eq!(status, 404, "{path}");
        // OpenIM would take the fields of any JSON for those of a hook's answer.
        assert!(serde_json::from_str::<Value>(&body).is_err(), "{path}: {body}");
    }
    server.end().await;
}

/// Byte-identical callbacks of OpenIM may be two events: what tells them apart is the id that the server gives each request.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_has_an_id_of_its_own_whatever_its_caller_says() {
    let table = Table::start().await;
    let server = Server::start(&table.settings(&[])).await;
    for _ in 0..2 {
        let sent = change(OPENIM).header("X-Scf-Request-Id", "theirs-1");
        assert_eq!(send(server.port, &sent.http()).await.unwrap().0, 200);
    }
    let ids: Vec<Value> = table.records().iter().map(|record| record["request_id"].clone()).collect();
    assert_eq!(ids.len(), 2);
    assert_ne!(ids[0], ids[1]);
    assert!(!ids.contains(&json!("theirs-1")));
    let line = server.logged("theirs-1").await;
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!([&line["message"], &line["caller_request_id"]], ["callback", "theirs-1"]);
    assert!(ids.contains(&line["request_id"]), "{line}");
    server.end().await;
}

/// The reader has routes only where somebody may read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ledger_is_served_where_readers_have_tokens() {
    let table = Table::start().await;
    let server = Server::start(&table.settings(&[("READER_TOKENS", "support:0123456789abcdef")])).await;
    assert_takes_callbacks(&server, "before").await;
    let (status, page) = send(server.port, &get("/ledger")).await.unwrap();
    assert!(status == 200 && page.starts_with("<!doctype html>"), "{status} {page}");
    assert_eq!(send(server.port, &get("/ledger/v1/feed?settle=0")).await.unwrap().0, 401);
    let request = get("/ledger/v1/feed?settle=0");
    let request =
        String::from_utf8(request).unwrap().replace("Host: h", "Host: h\r\nAuthorization: Bearer 0123456789abcdef");
    let (status, body) = send(server.port, request.as_bytes()).await.unwrap();
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, body["changes"].as_array().unwrap().len()), (200, 2), "{body}");
    let log = server.end().await;
    assert!(!log.contains("0123456789abcdef"), "{log}");
}

/// Nothing of what was sent, and no secret.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_has_no_secret_body_or_query() {
    let table = Table::start().await;
    let settings = table.settings(&[(TENCENT_CHAT.secrets, "hunter2"), (OPENIM.secrets, "user:hunter3")]);
    let server = Server::start(&settings).await;
    for platform in PLATFORMS {
        let genuine = change(platform).signed(platform, &[(platform.secrets, &settings[platform.secrets])]);
        for (sent, status) in [(genuine, 200), (change(platform).header("Authorization", "Basic aHVudGVyNDo="), 0)] {
            let answer = send(server.port, &sent.http()).await.unwrap();
            assert!(answer.0 == status || (status == 0 && [401, 403].contains(&answer.0)), "{answer:?}");
        }
    }
    let log = server.end().await;
    assert_eq!(log.matches(r#""message":"callback""#).count(), 4, "{log}");
    for secret in ["hunter", "SdkAppid=", "Sign=", "g1", "aHVudGVy"] {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
}

#[tokio::test]
async fn a_setting_that_is_missing_or_wrong_stops_the_start() {
    let table = Table::start().await;
    let nobody = [(TENCENT_CHAT.allow_anybody, ""), (OPENIM.allow_anybody, ""), ("TENCENT_SDK_APP_ID", "")];
    for (more, problem) in [
        (vec![("TABLE_NAME", "")], "TABLE_NAME is not set"),
        (vec![("AWS_REGION", "")], "AWS_REGION is not set: set it to the table's region"),
        (vec![("PORT", "port")], "PORT must be a port, up to 65535"),
        (vec![("PORT", "65536")], "PORT must be a port, up to 65535"),
        (vec![("METRICS_PORT", "-1")], "METRICS_PORT must be a port, up to 65535"),
        (vec![("AWS_ATTEMPT_TIMEOUT_MS", "50")], "AWS_ATTEMPT_TIMEOUT_MS must be a number of milliseconds, 100 to 900"),
        (vec![("AWS_ATTEMPT_TIMEOUT_MS", "1s")], "AWS_ATTEMPT_TIMEOUT_MS must be a number of milliseconds, 100 to 900"),
        (vec![("HOST", "localhost")], "HOST must be an IP address, as 0.0.0.0"),
        (vec![("REPLAY", "yes")], "REPLAY must be on or off"),
        (vec![("REPLAY", "on")], "REPLAY is on, and FALLBACK_QUEUE_URL is not set"),
        (vec![("READER_TOKENS", "short:1")], "READER_TOKENS"),
        (vec![("TENCENT_ALLOW_UNSIGNED", "")], "TENCENT_CALLBACK_TOKENS is not set"),
        (vec![("OPENIM_CREDENTIALS", "user")], "OPENIM_CREDENTIALS must be user:password"),
        (nobody.to_vec(), "there is nothing to serve"),
        ([&nobody[..], &[("OPENIM_APP_ID", "chat")]].concat(), "OPENIM_CREDENTIALS is not set"),
        (vec![("HOST", "192.0.2.1")], "cannot listen on 192.0.2.1:0"),
    ] {
        let output = timeout(TEST_TIMEOUT, command(&table.settings(&more)).output()).await.unwrap().unwrap();
        let log = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(1), "{more:?}: {log}");
        let last: Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
        assert_eq!([&last["level"], &last["message"]], ["ERROR", "cannot start"], "{log}");
        assert!(last["error"].as_str().unwrap().contains(problem), "{more:?}: {log}");
    }
}

/// Only a platform that is configured has a route.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_platform_without_settings_is_not_served() {
    let table = Table::start().await;
    for platform in PLATFORMS {
        let others = PLATFORMS.into_iter().filter(|other| other.name != platform.name);
        let unset = others.flat_map(|other| other.settings).map(|name| (*name, ""));
        let server = Server::start(&table.settings(&unset.collect::<Vec<_>>())).await;
        for other in PLATFORMS {
            let status = if other.name == platform.name { 200 } else { 404 };
            let answer = send(server.port, &change(other).http()).await.unwrap();
            assert_eq!(answer.0, status, "{} where {} is configured", other.name, platform.name);
        }
        server.end().await;
    }
}
