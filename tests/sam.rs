//! The deployed shape under the real SAM CLI: the same events, functions and records as in process, with Amazon's
//! runtime emulator, the template's environment and its routes in between. `make verify-sam` runs it.

#![allow(clippy::print_stdout, reason = "progress of what takes a minute")]

use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;
use std::process::Stdio;
use std::time::Duration;

use group_ledger::platform::PLATFORMS;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::{sleep, timeout};

use crate::cases::sample;
use crate::records::{receive_sample, secrets, written};
use crate::support::bus::{BUS_ARN, Reply, TestBus};
use crate::support::cloudformation::function_ids;
use crate::support::{TABLE, TEST_TIMEOUT, Table, files, free_port, platform_of, post, send};

/// Of a reader of the ledger.
const TOKEN: &str = "0123456789abcdef";

/// A `sam local` command on the built template, its functions' settings pointing at `table`.
fn sam_local(subcommand: &str, table: &Table, more: &[(&str, &str)], folder: &TempDir) -> Command {
    let port = table.endpoint.rsplit(':').next().unwrap();
    let settings = folder.path().join("settings.json");
    let mut environment: BTreeMap<&str, &str> = PLATFORMS
        .into_iter()
        .flat_map(|platform| platform.sample_app.iter().copied().chain([(platform.allow_anybody, "true")]))
        .collect();
    let dynamodb = format!("http://host.docker.internal:{port}");
    environment.extend([("TABLE_NAME", TABLE), ("AWS_ENDPOINT_URL_DYNAMODB", &dynamodb), ("FALLBACK_QUEUE_URL", "")]);
    environment.extend(more.iter().copied());
    fs::write(&settings, json!({ "Parameters": environment }).to_string()).unwrap();
    let variable =
        |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run make verify-sam"));
    let parameters =
        format!("Architecture={} EventBusArn={BUS_ARN} ReaderTokens=support:{TOKEN}", variable("ARCHITECTURE"));
    // What runs in the background has inherited that it ignores an interrupt, which SAM would then ignore too.
    let mut command = Command::new("env");
    command
        .args(["--default-signal=INT", "sam"])
        .args(["local", subcommand, "--skip-pull-image", "--invoke-image", &variable("SAM_IMAGE")])
        .args(["--parameter-overrides", &parameters])
        .args(["--add-host", "host.docker.internal:host-gateway", "--env-vars"])
        .arg(settings)
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

#[tokio::test]
#[ignore = "needs Docker: make verify-sam"]
async fn every_sample_event_comes_to_what_it_comes_to_in_process() {
    for (name, event) in files("events") {
        let mut attempts = 0;
        loop {
            attempts += 1;
            let table = Table::start_at("0.0.0.0").await;
            let event_file = format!("events/{name}.json");
            let (answer, log) = invoke(platform_of(&name).name, &event_file, &table, &[secrets(&name)]).await;
            let result = json!({ "answer": answer, "records": written(table.records()) });
            assert_eq!(result, receive_sample(&name, &event).await, "{name}: {log}");
            let counts = |line: &&str| line.contains(r#"{"_aws":"#) && line.contains(r#""outcome":"#);
            let lines = log.lines().filter(counts).count();
            // SAM may attach to a container's log after the container has ended.
            if lines == 0 && attempts < 3 {
                continue;
            }
            assert_eq!(lines, 1, "{name}: one line a callback, which counts it, in {log}");
            let (status, records) = (&result["answer"]["statusCode"], result["records"].as_array().unwrap().len());
            println!("  {name}: {status} and {records} records");
            break;
        }
    }
}

/// Invokes the function of a binary with an event; its answer and its log.
async fn invoke(binary: &str, event_file: &str, table: &Table, settings: &[(&str, &str)]) -> (Value, String) {
    let folder = TempDir::new().unwrap();
    let mut command = sam_local("invoke", table, settings, &folder);
    command.args([&function_ids()[binary], "--event", event_file]);
    let output = timeout(TEST_TIMEOUT, command.output()).await.unwrap().unwrap();
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    let answer = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{event_file}: {log}"));
    (answer, log)
}

/// An event of the fallback queue with two messages, of which the first can be written.
pub(crate) fn replay_event() -> Value {
    let envelope = fs::read_to_string("tests/envelopes/record.txt").unwrap();
    let message = |id: &str, body: &str| {
        json!({
            "messageId": id,
            "receiptHandle": "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a",
            "body": body,
            "attributes": { "ApproximateReceiveCount": "1", "SentTimestamp": "1545082649183" },
            "messageAttributes": {},
            "md5OfBody": "e4e68fb7bd0e697a0ae8f1bb342846b3",
            "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:fallback-queue",
            "awsRegion": "us-east-1",
        })
    };
    json!({ "Records": [message("1", envelope.trim()), message("2", "nonsense")] })
}

/// One message can be written, one cannot: only that one is reported.
#[tokio::test]
#[ignore = "needs Docker: make verify-sam"]
async fn the_replay_writes_the_messages_of_the_queue() {
    let table = Table::start_at("0.0.0.0").await;
    let folder = TempDir::new().unwrap();
    let event_file = folder.path().join("event.json");
    fs::write(&event_file, replay_event().to_string()).unwrap();
    let (answer, log) = invoke("replay", event_file.to_str().unwrap(), &table, &[]).await;
    assert_eq!(answer, json!({ "batchItemFailures": [{ "itemIdentifier": "2" }] }), "{log}");
    let records = table.records();
    assert_eq!(records.len(), 1, "{log}");
    println!("  replay: {} of {}", records[0]["kind"], records[0]["group_key"]);
}

/// The page is open to everybody; the API needs a token.
#[tokio::test]
#[ignore = "needs Docker: make verify-sam"]
async fn the_reader_reads_what_was_recorded() {
    let table = Table::start_at("0.0.0.0").await;
    through_api(&table, read).await;
}

async fn read(port: u16) {
    let create = r#"{"CallbackCommand":"Group.CallbackAfterCreateGroup","GroupId":"g1","EventTime":1715049600123}"#;
    let query = "?SdkAppid=1400000000&CallbackCommand=Group.CallbackAfterCreateGroup";
    assert_eq!(send(port, &post(&format!("/tencent-chat{query}"), create)).await.unwrap().0, 200);
    let get = |path: &str, headers: &str| format!("GET {path} HTTP/1.1\r\nHost: h\r\n{headers}\r\n").into_bytes();
    let authorization = format!("Authorization: Bearer {TOKEN}\r\n");
    let history = "/ledger/v1/history?group_key=tencent-chat%231400000000%23g1";
    for (path, headers, status, text) in [
        ("/ledger", "", 200, "<!doctype html>"),
        (history, "", 401, "token"),
        (history, &authorization, 200, r#""kind":"group.created""#),
        ("/ledger/v1/feed?settle=0", &authorization, 200, r#""group_id":"g1""#),
        ("/ledger/v1/state?group_key=tencent-chat%231400000000%23g1", &authorization, 200, r#""status":"active""#),
        ("/ledger/v1/apps", &authorization, 200, "1400000000"),
        ("/ledger/nothing", &authorization, 404, ""),
    ] {
        let (answered, body) = send(port, &get(path, headers)).await.unwrap();
        assert_eq!(answered, status, "{path}: {body}");
        assert!(body.contains(text), "{path}: no {text} in {body}");
        println!("  reader: {answered} to {path}");
    }
}

#[tokio::test]
#[ignore = "needs Docker: make verify-sam"]
async fn the_publisher_puts_a_record_of_the_stream_on_the_bus() {
    let table = Table::start_at("0.0.0.0").await;
    let bus = TestBus::start_at("0.0.0.0", Reply::accept).await;
    let endpoint = format!("http://host.docker.internal:{}", bus.endpoint.rsplit(':').next().unwrap());
    let settings = [
        ("EVENT_BUS_ARN", BUS_ARN),
        ("AWS_ENDPOINT_URL_EVENTBRIDGE", &endpoint),
        ("PUBLISHER_DEAD_LETTER_QUEUE_URL", "http://host.docker.internal:1/dead-letters"),
    ];
    let (answer, log) = invoke("publisher", "tests/publish/stream-event.json", &table, &settings).await;
    assert_eq!(answer, json!({ "batchItemFailures": [] }), "{log}");
    let details = bus.details();
    assert_eq!((details.len(), &details[0]["change"]["name"]), (1, &json!("Trail runners")), "{log}");
    println!("  publisher: {} event of {}", details.len(), details[0]["kind"]);
}

#[tokio::test]
#[ignore = "needs Docker: make verify-sam"]
async fn requests_over_http_find_their_functions() {
    let table = Table::start_at("0.0.0.0").await;
    through_api(&table, requests).await;
    let kinds: Vec<_> = table.records().iter().map(|record| record["kind"].as_str().unwrap().to_owned()).collect();
    assert_eq!(kinds.iter().filter(|kind| *kind == "group.info_changed").count(), 5, "{kinds:?}");
    assert_eq!(kinds.len(), 10, "{kinds:?}");
}

#[tokio::test]
#[ignore = "needs Docker: make verify-sam"]
async fn a_sample_of_the_cases_is_answered_as_expected() {
    let table = Table::start_at("0.0.0.0").await;
    through_api(&table, cases).await;
}

/// Sends what `send` sends through `sam local start-api`, given its port.
async fn through_api<F: Future<Output = ()> + Send + 'static>(table: &Table, send: fn(u16) -> F) {
    let folder = TempDir::new().unwrap();
    let port = free_port().await;
    let mut api = sam_local("start-api", table, &[], &folder)
        .args(["--warm-containers", "LAZY", "--host", "127.0.0.1", "--port", &port.to_string()])
        .stdout(Stdio::null())
        .stderr(fs::File::create(folder.path().join("api.log")).unwrap())
        .spawn()
        .unwrap();
    let listening = async {
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_err() {
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(TEST_TIMEOUT, listening).await.expect("sam local start-api does not listen");

    let result = tokio::spawn(send(port)).await;
    let id = api.id().unwrap().to_string();
    // SAM removes its warm containers when it is interrupted.
    Command::new("kill").args(["-INT", &id]).status().await.unwrap();
    timeout(TEST_TIMEOUT, api.wait()).await.unwrap().unwrap();
    result.unwrap_or_else(|error| panic!("{error}: {}", fs::read_to_string(folder.path().join("api.log")).unwrap()));
}

async fn cases(port: u16) {
    for (name, sent, status) in PLATFORMS.into_iter().flat_map(|platform| sample(platform.name)) {
        let (answered, body) = send(port, &sent.http()).await.unwrap();
        assert_eq!(answered, status, "{name}: {body}");
    }
}

/// Sends what platforms, and others, send; ten of it are changes, five of these of a group's information.
async fn requests(port: u16) {
    let openim = r#"{"callbackCommand":"callbackAfterSetGroupInfoExCommand","groupID":"g1","groupName":"n"}"#;
    let create = r#"{"CallbackCommand":"Group.CallbackAfterCreateGroup","GroupId":"g1","EventTime":1715049600123}"#;
    let query = "?SdkAppid=1400000000&CallbackCommand=Group.CallbackAfterCreateGroup";
    for (name, request) in files("tests/wire") {
        assert_eq!(send(port, request.as_bytes()).await.unwrap().0, 200, "{name}");
    }
    for (request, status) in [
        (post(&format!("/tencent-chat{query}"), create), 200),
        (post(&format!("/tencent-chat{query}"), create), 200),
        (post("/tencent-chat?SdkAppid=1400000000&SdkAppid=1400000000", create), 403),
        (post("/tencent-chat", create), 403),
        (post("/tencent-chat", ""), 200),
        (post("/openim/hook//callbackAfterSetGroupInfoExCommand", openim), 200),
        (post("/openim?command=callbackAfterSetGroupInfoEXCommand&contenttype=json", openim), 200),
        (binary(&post("/openim/callbackAfterSetGroupInfoExCommand", openim)), 200),
        (binary(&post("/openim/callbackAfterSetGroupInfoExCommand", "{\"groupID\":\"\u{fffd}")), 400),
        (b"GET /openim/callbackAfterSetGroupInfoExCommand HTTP/1.1\r\nHost: h\r\n\r\n".to_vec(), 405),
        (b"PUT /tencent-chat HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n".to_vec(), 405),
        (post("/elsewhere", create), 403),
    ] {
        let (answered, body) = send(port, &request).await.unwrap();
        assert_eq!(answered, status, "{}: {body}", String::from_utf8_lossy(&request));
    }
}

/// The same request with a content type that is no text, as API Gateway encodes it.
fn binary(request: &[u8]) -> Vec<u8> {
    String::from_utf8_lossy(request).replacen("Host:", "Content-Type: application/octet-stream\r\nHost:", 1).into()
}
