//! The functions for arm64, the template's default: what they ask of their system, and that they start and answer. Their processor
//! is emulated. `make verify-arm64` builds them and runs this.

#![allow(clippy::print_stdout, reason = "progress, and what the binaries ask for")]

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::records::{receive_sample, secrets, written};
use crate::sam::replay_event;
use crate::support::bus::{BUS_ARN, Reply, TestBus};
use crate::support::cloudformation::function_ids;
use crate::support::elf::Needs;
use crate::support::lambda::Function;
use crate::support::{OPENIM, Sent, TEST_TIMEOUT, Table, change, files, platform_of};

/// The C library of the runtime `provided.al2023`.
const GLIBC: [u32; 2] = [2, 34];

/// What that runtime has of a program's libraries.
const LIBRARIES: [&str; 6] =
    ["ld-linux-aarch64.so.1", "libc.so.6", "libdl.so.2", "libgcc_s.so.1", "libm.so.6", "libpthread.so.0"];

/// Runs a program of this processor, with the C library that Debian's cross compilers link.
const EMULATOR: [&str; 3] = ["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu"];

/// What `sam build` made of a function.
fn bootstrap(binary: &str) -> PathBuf {
    PathBuf::from(".aws-sam/arm64").join(&function_ids()[binary]).join("bootstrap")
}

/// A function in emulation.
async fn start(binary: &str, settings: &BTreeMap<String, String>) -> Function {
    Function::start_under(&EMULATOR, bootstrap(binary).to_str().unwrap(), settings).await
}

/// The answer to one event, and the log.
async fn invoke(binary: &str, settings: &BTreeMap<String, String>, event: String) -> (Value, String) {
    let function = start(binary, settings).await;
    let answer = function.invoke(event, TEST_TIMEOUT).await.body;
    let log = function.kill().await;
    (serde_json::from_str(&answer.unwrap_or_else(|| panic!("{binary}: {log}"))).unwrap(), log)
}

#[test]
#[ignore = "needs the functions for arm64: make verify-arm64"]
fn the_functions_ask_for_nothing_that_their_runtime_does_not_have() {
    for binary in function_ids().keys() {
        let needs = Needs::of(&bootstrap(binary));
        assert!(needs.libraries.iter().all(|library| LIBRARIES.contains(&library.as_str())), "{:?}", needs.libraries);
        assert!(needs.libraries.contains(&"ld-linux-aarch64.so.1".to_owned()), "{binary} is for another processor");
        assert!(needs.glibc[..2] <= GLIBC[..], "{binary} asks for glibc {:?}", needs.glibc);
        println!("  {binary} needs {}, and glibc {:?} at most", needs.libraries.join(" "), needs.glibc);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the functions for arm64: make verify-arm64"]
async fn every_sample_event_comes_to_what_it_comes_to_in_process() {
    for (name, event) in files("events") {
        let table = Table::start().await;
        let (answer, log) = invoke(platform_of(&name).name, &table.settings(&[secrets(&name)]), event.clone()).await;
        let result = json!({ "answer": answer, "records": written(table.records()) });
        assert_eq!(result, receive_sample(&name, &event).await, "{name}: {log}");
        println!("  {name}: {}", result["answer"]["statusCode"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the functions for arm64: make verify-arm64"]
async fn replay_reader_and_publisher_answer() {
    let table = Table::start().await;
    let (answer, log) = invoke("replay", &table.settings(&[]), replay_event().to_string()).await;
    assert_eq!(answer, json!({ "batchItemFailures": [{ "itemIdentifier": "2" }] }), "{log}");
    let records = table.records();
    assert_eq!(records.len(), 1, "{log}");

    let path = format!("group_key={}", records[0]["group_key"].as_str().unwrap().replace('#', "%23"));
    let history = Sent { method: "GET".into(), ..Sent::post("/ledger/v1/history", &path, "") };
    let history = history.header("authorization", "Bearer 0123456789abcdef");
    let settings = table.settings(&[("READER_TOKENS", "support:0123456789abcdef")]);
    let (answer, log) = invoke("reader", &settings, history.event()).await;
    assert_eq!(answer["statusCode"], 200, "{answer} {log}");

    let bus = TestBus::start(Reply::accept).await;
    let settings = table.settings(&[
        ("EVENT_BUS_ARN", BUS_ARN),
        ("AWS_ENDPOINT_URL_EVENTBRIDGE", &bus.endpoint),
        ("PUBLISHER_DEAD_LETTER_QUEUE_URL", "http://127.0.0.1:1/dead-letters"),
    ]);
    let event = std::fs::read_to_string("tests/publish/stream-event.json").unwrap();
    let (answer, log) = invoke("publisher", &settings, event).await;
    assert_eq!((answer, bus.details().len()), (json!({ "batchItemFailures": [] }), 1), "{log}");
}

/// That one callback after another is answered; how fast, an emulator cannot say.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the functions for arm64: make verify-arm64"]
async fn a_started_function_answers_many() {
    let table = Table::start().await;
    let function = start("openim", &table.settings(&[])).await;
    for number in 0..200 {
        let sent = change(OPENIM).request(&format!("request-{number}"));
        let answer = function.invoke(sent.event(), TEST_TIMEOUT).await;
        assert!(answer.body.is_some());
    }
    assert_eq!(table.records().len(), 200);
    function.terminate().await;
}
