//! What reading costs: `make bench` runs it, with the functions as they are deployed.

#![allow(clippy::print_stdout, reason = "figures")]

use std::fs;
use std::time::{Duration, Instant};

use group_ledger::domain::record::Record;
use group_ledger::domain::timestamp::{Clock, Timestamp};
use group_ledger::storage::envelope::Envelope;
use serde_json::Value;
use tempfile::TempDir;

use super::TOKEN;
use crate::local::Stack;
use crate::reliability::sample;
use crate::support::lambda::Function;
use crate::support::{OPENIM, Sent, Table, local_settings, receiver, send};

/// How often each request is made.
const REQUESTS: usize = 500;
const GROUPS: usize = 50;
const RECORDS: usize = 5_000;

/// A figure's median and 99th percentile, in milliseconds.
fn row(what: &str, mut took: Vec<Duration>) -> String {
    took.sort();
    let millis = |of_100: usize| took[(took.len() - 1) * of_100 / 100].as_secs_f64() * 1_000.0;
    format!("| {what} | {:.1} | {:.1} |", millis(50), millis(99))
}

async fn asked(port: u16, path: &str) -> (Value, Duration) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\n\r\n");
    let start = Instant::now();
    let (status, body) = send(port, request.as_bytes()).await.unwrap();
    let took = start.elapsed();
    assert_eq!(status, 200, "{body}");
    (serde_json::from_str(&body).unwrap(), took)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "make bench"]
async fn reading() {
    let stack = Stack::start(TempDir::new().unwrap(), &[("READER_TOKENS", &format!("bench:{TOKEN}"))]).await;
    let port = stack.ports[0];
    let settings = local_settings(&format!("http://127.0.0.1:{}", stack.ports[1]));
    let ledger = receiver(OPENIM, &settings).unwrap().store().ledger().clone();
    let Envelope::Record(sample) = Envelope::from_text(&sample()).unwrap().remove(0) else { panic!("no record") };
    let begins = Timestamp::now().plus_millis(-60 * 60 * 1_000);
    for number in 0..RECORDS {
        let at = begins.plus_millis(i64::try_from(number).unwrap() * 500);
        let record = Record {
            group_key: format!("openim#openim#g{}", number % GROUPS),
            digest: format!("{:016x}{number:048x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
            occurred_at: at,
            ..sample.clone()
        };
        let ledger = ledger.clone().with_clock(Clock::new(move || at));
        ledger.write(&[Envelope::Record(record)], Duration::from_mins(1)).await.unwrap();
    }
    let (mut history, mut page, mut poll) = (Vec::new(), Vec::new(), Vec::new());
    let (mut answer, _) = asked(port, &format!("/ledger/v1/feed?limit=1000&from={begins}")).await;
    while answer["more"] == true {
        let next = answer["next"].as_str().unwrap();
        answer = asked(port, &format!("/ledger/v1/feed?limit=1000&after={next}")).await.0;
    }
    let cursor = answer["next"].as_str().unwrap();
    for number in 0..REQUESTS {
        let group = number % GROUPS;
        let (answer, took) = asked(port, &format!("/ledger/v1/history?group_key=openim%23openim%23g{group}")).await;
        assert_eq!(answer["changes"].as_array().unwrap().len(), 100);
        history.push(took);
        let (answer, took) = asked(port, &format!("/ledger/v1/feed?from={begins}")).await;
        assert_eq!(answer["changes"].as_array().unwrap().len(), 100);
        page.push(took);
        poll.push(asked(port, &format!("/ledger/v1/feed?after={cursor}")).await.1);
    }
    stack.signal("-INT", true).await;
    stack.end().await;

    let table = Table::start().await;
    let (mut starts, mut memory) = (Vec::new(), Vec::new());
    for _ in 0..21 {
        let mut settings = table.settings(&[]);
        settings.insert("READER_TOKENS".to_owned(), format!("bench:{TOKEN}"));
        let start = Instant::now();
        let reader = Function::start("reader", &settings).await;
        let event = Sent { method: "GET".into(), ..Sent::post("/ledger/v1/feed", "", "") };
        let event = event.header("authorization", &format!("Bearer {TOKEN}"));
        assert!(reader.invoke(event.event(), Duration::from_secs(15)).await.body.is_some());
        starts.push(start.elapsed());
        let status = fs::read_to_string(format!("/proc/{}/status", reader.id())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        memory.push(peak.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1_024.0);
    }
    memory.sort_by(f64::total_cmp);
    let figures = [
        "| through the local API, a request after the other | p50, ms | p99, ms |".to_owned(),
        "| --- | --- | --- |".to_owned(),
        row("history, a page of 100", history),
        row("feed, a page of 100", page),
        row("feed, a poll without anything new", poll),
        row("`reader`: from its process's start to its first answer, an empty feed of two days", starts),
        String::new(),
        format!("Peak memory of `reader` after one request: {:.1} MB.", memory[memory.len() / 2]),
    ];
    let figures = figures.join("\n");
    println!("{figures}");
    fs::write("docs/performance/reading.md", figures + "\n").unwrap();
}
