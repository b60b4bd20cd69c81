//! What reading costs: `make bench` runs it, with the receivers and the reader as they are deployed.

#![allow(clippy::print_stdout, reason = "figures")]

use std::borrow::Cow;
use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::types::{AttributeValue, ReturnConsumedCapacity};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use group_ledger::domain::callback::Callback;
use group_ledger::domain::record::Record;
use group_ledger::domain::timestamp::{Clock, Timestamp};
use group_ledger::platform::Decoded;
use group_ledger::reading::change::Change;
use group_ledger::storage::envelope::Envelope;
use group_ledger::storage::item;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::process::Command;

use super::TOKEN;
use crate::local::Stack;
use crate::reliability::sample;
use crate::support::fault::{Fault, Proxy, Transport};
use crate::support::lambda::{Function, functions_dir};
use crate::support::{OPENIM, Sent, TABLE, TENCENT_CHAT, Table, local_settings, receiver, send};

/// How often each request is made.
const REQUESTS: usize = 200;
const GROUPS: usize = 50;
const RECORDS: usize = 5_000;
/// The long history.
const CHANGES: usize = 40_000;
const MEMBERS: usize = 6_000;
const LONG: &str = "tencent-chat#1400000000#@TGS#2LONG";

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
        memory.push(peak_memory(reader.id()));
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
    write("docs/performance/reading.md", &figures);
}

fn write(file: &str, figures: &[String]) {
    let figures = figures.join("\n");
    println!("{figures}");
    fs::write(file, figures + "\n").unwrap();
}

/// The peak of a process's memory, in megabytes.
fn peak_memory(id: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1_024.0
}

/// An attribute's value, as DynamoDB writes it.
fn as_json(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::S(text) => json!({ "S": text }),
        AttributeValue::N(digits) => json!({ "N": digits }),
        AttributeValue::L(items) => json!({ "L": items.iter().map(as_json).collect::<Vec<_>>() }),
        AttributeValue::M(map) => {
            let map: Value = map.iter().map(|(name, value)| (name.clone(), as_json(value))).collect();
            json!({ "M": map })
        }
        other => panic!("no record of these has {other:?}"),
    }
}

/// The long history's changes: a creation, 6,000 members who join, and then leave and join again, with a rename now and then.
fn long_history(number: usize) -> (&'static str, Value) {
    let account = |number: usize| json!([{ "Member_Account": format!("user{:04}", number % MEMBERS) }]);
    match number {
        0 => ("CreateGroup", json!({ "Name": "Long", "Owner_Account": "owner", "MemberList": [] })),
        _ if number <= MEMBERS => ("NewMemberJoin", json!({ "JoinType": "Apply", "NewMemberList": account(number) })),
        _ if number.is_multiple_of(10) => ("GroupInfoChanged", json!({ "Name": format!("Long {number}") })),
        // In turns, whatever the renames take.
        _ => {
            let turn = number - MEMBERS - 1 - (number / 10 - MEMBERS / 10);
            let (user, joins) = (turn / 2, turn % 2 == 1);
            if joins {
                ("NewMemberJoin", json!({ "JoinType": "Invited", "NewMemberList": account(user) }))
            } else {
                ("MemberExit", json!({ "ExitType": "Quit", "ExitMemberList": account(user) }))
            }
        }
    }
}

fn begin() -> Timestamp {
    Timestamp::from_unix_millis(1_670_574_414_123).unwrap()
}

/// Puts the first `count` changes of the long history into a table, past every receiver.
fn put_long_history(table: &Table, count: usize) {
    let items = (0..count).map(|number| {
        let (command, mut body) = long_history(number);
        let at = begin().plus_millis(i64::try_from(number).unwrap() * 60_000);
        body["CallbackCommand"] = json!(format!("Group.CallbackAfter{command}"));
        body["GroupId"] = json!("@TGS#2LONG");
        body["Type"] = json!("Public");
        body["Operator_Account"] = json!("owner");
        body["EventTime"] = json!(at.unix_millis());
        let body = body.to_string();
        let callback = Callback {
            command: None,
            parameters: Vec::new(),
            content_encoding: None,
            body: Cow::Borrowed(body.as_bytes()),
            received_at: at,
            request_id: Cow::Owned(format!("request-{number}")),
        };
        let Ok(Decoded::Change(change)) = (TENCENT_CHAT.decode)(&callback) else { panic!("{body}") };
        let record = Record::new(TENCENT_CHAT.name, "1400000000", change, &callback, None);
        let key = record.change_key();
        let item = item::of(&Envelope::Record(record), &key, Some(at)).unwrap();
        item.iter().map(|(name, value)| (name.clone(), as_json(value))).collect()
    });
    table.import(items.collect());
}

/// The command line against the AWS CLI: a group's history of 5,000 changes from the same DynamoDB, in turns.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "make bench"]
async fn the_history_of_the_command_line() {
    const TURNS: usize = 5;
    let table = Table::start().await;
    put_long_history(&table, 5_000);
    let settings = table.settings(&[]);
    let names = r#"{":key":{"S":"tencent-chat#1400000000#@TGS#2LONG"}}"#;
    let own = functions_dir().join("group-ledger");
    let commands: [(&str, Vec<&str>); 3] = [
        ("`group-ledger history`", vec![own.to_str().unwrap(), "history", LONG]),
        ("`group-ledger history --json`", vec![own.to_str().unwrap(), "history", "--json", LONG]),
        (
            "`aws dynamodb query --output json`",
            vec![
                "python3",
                "-m",
                "awscli",
                "dynamodb",
                "query",
                "--output",
                "json",
                "--endpoint-url",
                &table.endpoint,
                "--table-name",
                TABLE,
                "--key-condition-expression",
                "group_key = :key",
                "--expression-attribute-values",
                names,
            ],
        ),
    ];
    let mut took = vec![(Vec::new(), Vec::new()); commands.len()];
    for _ in 0..TURNS {
        for ((_, words), (first, all)) in commands.iter().zip(&mut took) {
            let start = Instant::now();
            let mut process = Command::new(words[0]);
            process.args(&words[1..]).env_clear().envs(&settings).env("AWS_DEFAULT_REGION", "us-east-1");
            process.env("PATH", std::env::var_os("PATH").unwrap()).env("PYTHONPATH", "benches/peers/aws-cli/.packages");
            let mut process = process.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
            let mut output = Vec::new();
            let mut stdout = process.stdout.take().unwrap();
            stdout.read_buf(&mut output).await.unwrap();
            first.push(start.elapsed());
            stdout.read_to_end(&mut output).await.unwrap();
            assert!(process.wait().await.unwrap().success());
            all.push(start.elapsed());
            let output = String::from_utf8(output).unwrap();
            assert!(output.matches("member.joined").count() > 4_000, "{output}");
        }
    }
    let mut figures = vec![
        "| a history of 5,000 changes, to its last line | first output, p50, ms | p99 | last line, p50, ms | p99 |"
            .to_owned(),
        "| --- | --- | --- | --- | --- |".to_owned(),
    ];
    for ((what, _), (first, all)) in commands.iter().zip(took) {
        figures.push(format!("{}{}", row(what, first).trim_end_matches(' '), row("", all).trim_start_matches("|  |")));
    }
    write("docs/performance/command-line.md", &figures);
}

/// A history of 40,000 changes: pages of a megabyte as the embedded DynamoDB makes them, each 20 ms after it is asked for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "make bench"]
async fn a_long_history() {
    let table = Table::start().await;
    let ledger = table.ledger();
    let begin = begin();
    put_long_history(&table, CHANGES);

    // What DynamoDB bills, and how many pages it takes.
    let (mut units, mut pages, mut after) = (0.0, 0, None);
    let mut changes: Vec<Change> = Vec::new();
    loop {
        let page = ledger.client().query().table_name(ledger.table()).key_condition_expression("group_key = :key");
        let page = page.expression_attribute_values(":key", AttributeValue::S(LONG.to_owned()));
        let page = page.return_consumed_capacity(ReturnConsumedCapacity::Total).set_exclusive_start_key(after);
        let page = page.send().await.unwrap();
        units += page.consumed_capacity.unwrap().capacity_units.unwrap();
        pages += 1;
        for item in page.items.unwrap() {
            let (record, details) = item::attributes(item).unwrap();
            changes.push(Change::of_record(record, details));
        }
        after = page.last_evaluated_key;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(changes.len(), CHANGES);

    let proxy = Proxy::start(Transport::Plain, &table.endpoint, Fault::Remembered(20), usize::MAX);
    let mut settings = local_settings(&proxy.endpoint);
    settings.insert("READER_TOKENS".to_owned(), format!("bench:{TOKEN}"));
    let middle = begin.plus_millis(i64::try_from(CHANGES / 2).unwrap() * 60_000);
    let key = "group_key=tencent-chat%231400000000%23%40TGS%232LONG";
    let mut rows = Vec::new();
    for (what, path, query) in [
        ("history, a page of 1,000", "history", format!("{key}&limit=1000")),
        ("state now", "state", key.to_owned()),
        ("state after half of the changes", "state", format!("{key}&at={middle}")),
        ("the last 100 changes with what was before", "history", format!("{key}&order=desc&previous=true")),
    ] {
        // Until every page comes from memory, so that the embedded DynamoDB's own time does not count.
        let (took, body, memory) = loop {
            let reader = Function::start("reader", &settings).await;
            proxy.arm(usize::MAX);
            let event = Sent { method: "GET".into(), ..Sent::post(&format!("/ledger/v1/{path}"), &query, "") };
            let event = event.header("authorization", &format!("Bearer {TOKEN}"));
            let answer = reader.invoke(event.event(), Duration::from_secs(30)).await;
            let took = answer.took;
            let answer: Value = serde_json::from_str(&answer.body.unwrap()).unwrap();
            let body = BASE64_STANDARD.decode(answer["body"].as_str().unwrap()).unwrap();
            let body: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(answer["statusCode"], 200, "{body}");
            if proxy.forgotten() == 0 {
                break (took, body, peak_memory(reader.id()));
            }
        };
        let finished = if path == "state" { body["finished"].to_string() } else { "-".to_owned() };
        rows.push(format!("| {what} | {:.1} | {} | {finished} | {memory:.1} |", took.as_secs_f64(), proxy.requests()));
        if what == "state now" {
            assert_eq!([&body["changes"], &body["gaps"]], [&json!(CHANGES), &json!([])]);
        }
    }
    let start = Instant::now();
    let folded = crate::state::state(TENCENT_CHAT, changes);
    let alone = start.elapsed();
    assert_eq!(folded.changes, CHANGES as u64);
    let mut figures = vec![
        format!("{CHANGES} changes of one group: {units:.0} read units in {pages} pages for all of them."),
        String::new(),
        "| request, each to a new `reader` | s | requests to DynamoDB | finished | peak memory, MB |".to_owned(),
        "| --- | --- | --- | --- | --- |".to_owned(),
    ];
    figures.extend(rows);
    figures.push(String::new());
    figures.push(format!(
        "The fold alone, built for debugging: {:.0} changes a second.",
        f64::from(u32::try_from(CHANGES).unwrap()) / alone.as_secs_f64()
    ));
    write("docs/performance/long-history.md", &figures);
}
