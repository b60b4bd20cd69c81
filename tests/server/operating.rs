//! What whoever runs it relies on: health, metrics, the replay, credentials, the clock.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_smithy_types::date_time::{DateTime, Format};
use group_ledger::domain::timestamp::Timestamp;
use http_body_util::Full;
use hyper::Response;
use serde_json::json;
use tokio::net::TcpListener;

use super::{
    Duration, OPENIM, Server, TENCENT_CHAT, TEST_TIMEOUT, Table, assert_takes_callbacks, change, get, serve, sleep,
    timeout,
};
use crate::reliability::{ALWAYS, DOWN, World};
use crate::support::fault::Fault;
use crate::support::server::command;
use crate::support::{message, send};

const FINE: (Fault, usize) = (Fault::Hang, 0);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_alive_whatever_dynamodb_does_and_ready_where_that_takes_records() {
    let world = World::start(FINE, FINE).await;
    let server = Server::start(&world.settings()).await;
    for path in ["/healthz", "/readyz"] {
        assert_eq!(send(server.port, &get(path)).await.unwrap().0, 200, "{path}");
    }
    server.end().await;

    let world = World::start((DOWN, ALWAYS), FINE).await;
    let server = Server::start(&world.settings()).await;
    server.logged(r#""message":"not ready"#).await;
    let asked = world.to_ledger.requests();
    assert_eq!(send(server.port, &get("/healthz")).await.unwrap().0, 200);
    for _ in 0..2 {
        assert_eq!(send(server.port, &get("/readyz")).await.unwrap().0, 503);
    }
    // Each is a write that is billed.
    assert_eq!(world.to_ledger.requests(), asked, "DynamoDB was asked again within seconds");
    world.to_ledger.arm(0);
    let ready = async {
        while send(server.port, &get("/readyz")).await.unwrap().0 != 200 {
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(TEST_TIMEOUT, ready).await.unwrap();
    server.end().await;
}

/// For images that have no other client.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_health_check_is_its_own() {
    let table = Table::start().await;
    let check = async |host: &str, port: u16| {
        let mut command = command(&table.settings(&[("HOST", host)]));
        command.arg("--health-check").env("PORT", port.to_string()).status().await.unwrap().code()
    };
    for (host, elsewhere) in [("127.0.0.2", "127.0.0.3"), ("0.0.0.0", "::1")] {
        let server = Server::start(&table.settings(&[("HOST", host)])).await;
        assert_eq!(check(host, server.port).await, Some(0), "{host}");
        assert_eq!(check(elsewhere, server.port).await, Some(1), "{elsewhere}");
        server.end().await;
    }
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    assert_eq!(check("127.0.0.1", silent.local_addr().unwrap().port()).await, Some(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_count_what_became_of_callbacks() {
    let table = Table::start().await;
    let server = Server::start(&table.settings(&[("METRICS_PORT", "0")])).await;
    let port = server.port_of("metrics").await;
    for sent in [change(TENCENT_CHAT), change(TENCENT_CHAT), change(OPENIM), message(OPENIM, "{}")] {
        assert_eq!(send(server.port, &sent.http()).await.unwrap().0, 200);
    }
    assert_eq!(send(server.port, &get("/openim")).await.unwrap().0, 405);
    let incomplete = b"POST /openim HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n";
    assert_eq!(send(server.port, incomplete).await.unwrap().0, 408);
    let (status, text) = send(port, &get("/metrics")).await.unwrap();
    assert_eq!(status, 200);
    for (labels, count) in [
        (r#"platform="tencent-chat",outcome="recorded",kind="group.info_changed""#, 1),
        (r#"platform="tencent-chat",outcome="duplicate",kind="group.info_changed""#, 1),
        (r#"platform="openim",outcome="recorded",kind="group.info_changed""#, 1),
        (r#"platform="openim",outcome="ignored",kind="none""#, 1),
        (r#"platform="openim",outcome="rejected",kind="none""#, 1),
        // Anybody is genuine here.
        (r#"platform="openim",outcome="rejected_known_caller",kind="none""#, 1),
    ] {
        assert!(text.contains(&format!("group_ledger_callbacks_total{{{labels}}} {count}\n")), "{labels}: {text}");
    }
    assert!(text.contains("group_ledger_callback_duration_seconds_count{platform=\"openim\"} 4\n"), "{text}");
    let offset = text.lines().find_map(|line| line.strip_prefix("group_ledger_clock_offset_seconds ")).unwrap();
    assert!(offset.parse::<f64>().unwrap().abs() < 2.0, "{text}");
    assert!(text.ends_with("# EOF\n"), "{text}");
    // On a port of its own alone.
    assert_eq!(send(server.port, &get("/metrics")).await.unwrap().0, 404);
    assert_eq!(send(port, &change(OPENIM).http()).await.unwrap().0, 404);
    server.end().await;
}

/// Callbacks during an outage wait in the queue; this process takes them out of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_in_the_process_drains_the_queue() {
    let world = World::start((DOWN, ALWAYS), FINE).await;
    let mut settings = world.settings();
    settings.insert("METRICS_PORT".to_owned(), "0".to_owned());
    let server = Server::start(&settings).await;
    assert_takes_callbacks(&server, "during the outage").await;
    server.end().await;
    assert_eq!(world.table.records().len(), 0);
    world.to_ledger.arm(0);
    world
        .queues
        .client
        .send_message()
        .queue_url(&world.queues.fallback_queue)
        .message_body("nonsense")
        .send()
        .await
        .unwrap();
    settings.insert("REPLAY".to_owned(), "on".to_owned());
    let server = Server::start(&settings).await;
    let replayed = async {
        while world.table.records().len() < 2 {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(TEST_TIMEOUT, replayed).await.unwrap();
    let port = server.port_of("metrics").await;
    let counted = async {
        let counts = [r#"{outcome="stored"} 2"#, r#"{outcome="not_stored"} 1"#];
        loop {
            let (_, text) = send(port, &get("/metrics")).await.unwrap();
            if counts.iter().all(|count| text.contains(&format!("group_ledger_replayed_total{count}\n"))) {
                break;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(TEST_TIMEOUT, counted).await.unwrap();
    // What cannot be written stays.
    let is_one = async { while world.queues.depth(&world.queues.fallback_queue).await.unwrap() != 1 {} };
    timeout(TEST_TIMEOUT, is_one).await.unwrap();
    server.end().await;
}

/// As a container's are, which are good for some hours. Fetching them takes longer than one attempt of a call.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_are_fetched_and_fetched_again() {
    let table = Table::start().await;
    let fetched = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&fetched);
    let credentials = serve(Duration::from_millis(500), move || {
        count.fetch_add(1, Ordering::Relaxed);
        // Taken for expired ten seconds before.
        let expires = Timestamp::now().plus_millis(11_000).to_string();
        let credentials =
            json!({ "AccessKeyId": "a", "SecretAccessKey": "s", "Token": "t", "Expiration": expires }).to_string();
        Response::builder().header("content-type", "application/json").body(Full::from(credentials)).unwrap()
    })
    .await;
    let settings = table.settings(&[
        ("AWS_ACCESS_KEY_ID", ""),
        ("AWS_SECRET_ACCESS_KEY", ""),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &format!("{credentials}/credentials")),
    ]);
    let server = Server::start(&settings).await;
    let again = async {
        while fetched.load(Ordering::Relaxed) < 3 {
            assert_takes_callbacks(&server, "with fetched credentials").await;
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(TEST_TIMEOUT, again).await.unwrap();
    server.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_not_dynamodbs_is_told() {
    let table = Table::start().await;
    for seconds in [1_000_i32, -1_000] {
        let dynamodb = serve(Duration::ZERO, move || {
            let date = DateTime::from_secs(Timestamp::now().unix_millis() / 1_000 - i64::from(seconds));
            let date = date.fmt(Format::HttpDate).unwrap();
            Response::builder().header("date", date).body(Full::from("{}")).unwrap()
        })
        .await;
        let server = Server::start(&table.settings(&[("AWS_ENDPOINT_URL_DYNAMODB", &dynamodb)])).await;
        let line = server.logged("this machine's clock is not DynamoDB's").await;
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        let told = line["seconds"].as_f64().unwrap();
        assert!((told - f64::from(seconds)).abs() < 60.0, "{seconds}: {line}");
        server.end().await;
    }
    let server = Server::start(&table.settings(&[])).await;
    assert_eq!(send(server.port, &get("/readyz")).await.unwrap().0, 200);
    assert!(!server.end().await.contains("clock"));
}

/// A table in another cloud takes longer than a function's own would.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_is_far_away_is_waited_for_where_that_is_set() {
    let table = Table::start().await;
    let dynamodb = serve(Duration::from_millis(500), || Response::new(Full::from("{}"))).await;
    for (attempt, status) in [("", 503), ("900", 200)] {
        let settings = [("AWS_ENDPOINT_URL_DYNAMODB", dynamodb.as_str()), ("AWS_ATTEMPT_TIMEOUT_MS", attempt)];
        let server = Server::start(&table.settings(&settings)).await;
        assert_eq!(send(server.port, &get("/readyz")).await.unwrap().0, status, "{attempt}");
        assert_eq!(send(server.port, &change(OPENIM).http()).await.unwrap().0, status, "{attempt}");
        server.end().await;
    }
}
