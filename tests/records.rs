//! The record and the answer of each sample event and of each request that a real OpenIM server wrote.

use std::fs;

use group_ledger::host::lambda::event;
use group_ledger::platform::Registration;
use insta::assert_json_snapshot;
use serde_json::{Value, json};

use crate::support::{OPENIM, Sent, Table, files, platform_of};

#[tokio::test]
async fn sample_events() {
    for (name, event) in files("events") {
        snapshot(&format!("event-{name}"), &receive_sample(&name, &event).await);
    }
}

/// The setting of the secrets that a sample event's function has: the published example's for what is signed with it.
pub(crate) fn secrets(sample: &str) -> (&'static str, &'static str) {
    let is_signed = sample.ends_with("-signed") || sample.ends_with("-forged");
    (platform_of(sample).secrets, if is_signed { "xxxxyyyy" } else { "" })
}

/// What comes of a sample event: the answer, and the records.
pub(crate) async fn receive_sample(name: &str, event: &str) -> Value {
    receive(platform_of(name), event, &[secrets(name)]).await
}

#[tokio::test]
async fn raw_openim_requests() {
    for (name, request) in files("tests/wire") {
        let result = receive(OPENIM, &sent(&request).event(), &[]).await;
        snapshot(&format!("wire-{name}"), &result);
    }
}

/// What comes of an event: the answer, and the records.
pub(crate) async fn receive(platform: &Registration, sent: &str, settings: &[(&str, &str)]) -> Value {
    let table = Table::start().await;
    let response = crate::support::handle(&table.receiver(platform, settings), sent).await;
    json!({ "answer": event::response(response), "records": written(table.records()) })
}

/// Records but for when they were written, which is another time each time.
pub(crate) fn written(mut records: Vec<Value>) -> Vec<Value> {
    for record in &mut records {
        for (name, when) in [("feed_at", "{recorded_at}"), ("feed_key", "{day}")] {
            let (_, rest) = record[name].as_str().unwrap().split_once('#').unwrap();
            record[name] = json!(format!("{when}#{rest}"));
        }
    }
    records
}

/// The request that a raw one is.
pub(crate) fn sent(raw: &str) -> Sent {
    let (head, body) = raw.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    let path = lines.next().unwrap().split(' ').nth(1).unwrap();
    lines.fold(Sent::post(path, "", body), |sent, line| {
        let (name, value) = line.split_once(": ").unwrap();
        sent.header(name, value)
    })
}

pub(crate) fn snapshot(name: &str, value: &Value) {
    insta::with_settings!({ sort_maps => true, prepend_module_to_snapshot => false, omit_expression => true }, {
        assert_json_snapshot!(name, value);
    });
}

/// Snapshots whose fixture is gone would be kept true by nobody.
#[test]
fn every_snapshot_has_its_fixture() {
    let fixtures: Vec<String> =
        [("cases", "tests/cases"), ("envelope", "tests/envelopes"), ("event", "events"), ("wire", "tests/wire")]
            .into_iter()
            .flat_map(|(prefix, folder)| {
                files(folder).into_iter().map(move |(name, _)| format!("{prefix}-{name}.snap"))
            })
            .collect();
    for envelope in fs::read_dir("tests/snapshots").unwrap() {
        let name = envelope.unwrap().file_name().into_string().unwrap();
        assert!(fixtures.contains(&name), "{name} has no fixture");
    }
}
