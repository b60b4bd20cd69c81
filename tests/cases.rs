//! The callbacks of `tests/cases/`: researched requests, one a line, with what must become of each.

use std::collections::BTreeMap;
use std::fs;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use group_ledger::platform::{PLATFORMS, Registration};
use http::Response;
use serde_json::{Map, Value, json};

use crate::records::snapshot;
use crate::support::{Sent, Table, assert_answer};

/// The receiver's clock where a case sets none.
const NOW_UNIX: i64 = 1_715_049_600;

#[tokio::test]
async fn every_case_comes_to_what_it_expects() {
    for platform in PLATFORMS {
        run(platform, async |case| {
            let table = Table::start().await;
            let receiver = table.receiver(platform, &[(platform.secrets, token(case))]);
            (sent(case).to(&receiver).await, table.records())
        })
        .await;
    }
}

/// The token that a case's receiver has; empty where it takes anybody's callbacks.
pub(crate) fn token(case: &Value) -> &str {
    case["config"]["token"].as_str().unwrap_or_default()
}

/// Holds every case of a platform to its expectation, given who delivers it: what was answered, and what is recorded then.
pub(crate) async fn run(platform: &Registration, deliver: impl AsyncFn(&Value) -> (Response<String>, Vec<Value>)) {
    let file = format!("tests/cases/{}.jsonl", platform.name);
    let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
    let mut understood = BTreeMap::new();
    for line in text.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let name = case["name"].as_str().unwrap();
        let (response, records) = deliver(&case).await;
        if let Some(mut record) = check(platform, &case, &response, records) {
            let named = ["change", "group_type", "operator", "source"];
            record.as_object_mut().unwrap().retain(|name, _| named.contains(&name.as_str()));
            understood.insert(name.to_owned(), record);
        }
    }
    // The cases say what is recorded; this says as what.
    snapshot(&format!("cases-{}", platform.name), &json!(understood));
}

/// Holds one case to its expectation; the record that it makes.
fn check(platform: &Registration, case: &Value, response: &Response<String>, records: Vec<Value>) -> Option<Value> {
    let (name, expect) = (case["name"].as_str().unwrap(), &case["expect"]);
    assert_answer(platform, response, u16::try_from(expect["status"].as_u64().unwrap()).unwrap(), name);
    assert_eq!(records.len(), usize::from(expect["recorded"] == true), "{name}");
    let record = records.into_iter().next()?;

    assert_eq!(record["kind"], expect["kind"], "{name}");
    assert_eq!(record["group_id"], *expect["group_id"].as_str().unwrap_or_default(), "{name}");
    assert_eq!(record["raw"].as_str().map(str::as_bytes), Some(body(case).as_slice()), "{name}");
    match expect.get("occurred_at") {
        Some(time) => {
            assert_eq!(record["occurred_at_source"], "callback", "{name}");
            assert_eq!(record["occurred_at"], *time, "{name}");
        }
        // The case does not say; a receipt's time is the receipt's all the same.
        None if record["occurred_at_source"] == "receipt" => {
            assert_eq!(record["occurred_at"], record["received_at"], "{name}");
        }
        None => assert_eq!(record["occurred_at_source"], "callback", "{name}"),
    }
    if let Some(change) = expect.get("change") {
        assert_eq!(&record["change"], change, "{name}");
    }
    for user in expect["user_ids"].as_array().into_iter().flatten() {
        assert!(people(&record).contains(&user), "{name}: {user} is not in {record}");
    }
    Some(record)
}

/// The users that a record names.
fn people(record: &Value) -> Vec<&Value> {
    let change = &record["change"];
    let single = ["member", "owner", "old_owner", "new_owner"].into_iter().filter_map(|name| change.get(name));
    single.chain(record.get("operator")).chain(change["members"].as_array().into_iter().flatten()).collect()
}

/// A sample of a platform's cases that any HTTP client can send, with the status that each expects.
pub(crate) fn sample(platform: &str) -> Vec<(String, Sent, u16)> {
    let text = fs::read_to_string(format!("tests/cases/{platform}.jsonl")).unwrap();
    let cases = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let plain = cases.filter(|case| ["config", "body_b64", "body_gen"].iter().all(|name| case.get(name).is_none()));
    let parts = |case: Value| {
        let status = u16::try_from(case["expect"]["status"].as_u64().unwrap()).unwrap();
        (case["name"].as_str().unwrap().to_owned(), sent(&case), status)
    };
    plain.step_by(5).map(parts).collect()
}

/// The cases of a platform that are recorded.
pub(crate) fn recorded(platform: &str) -> Vec<Sent> {
    let text = fs::read_to_string(format!("tests/cases/{platform}.jsonl")).unwrap();
    let cases = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    cases.filter(|case| case["expect"]["recorded"] == true).map(|case| sent(&case)).collect()
}

/// The request of a case.
pub(crate) fn sent(case: &Value) -> Sent {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in case["query"].as_object().unwrap() {
        match value {
            Value::Array(values) => values.iter().for_each(|value| {
                query.append_pair(name, value.as_str().unwrap());
            }),
            value => {
                query.append_pair(name, value.as_str().unwrap());
            }
        }
    }
    let headers: Map<_, _> =
        case["headers"].as_object().unwrap().iter().map(|(name, value)| (name.to_lowercase(), json!(value))).collect();
    Sent {
        method: case["method"].as_str().unwrap().into(),
        headers,
        received_at: case["config"]["now_unix"].as_i64().unwrap_or(NOW_UNIX) * 1000,
        ..Sent::post(case["path"].as_str().unwrap(), &query.finish(), body(case))
    }
}

fn body(case: &Value) -> Vec<u8> {
    if let Some(bytes) = case["body_b64"].as_str() {
        return BASE64_STANDARD.decode(bytes).unwrap();
    }
    if let Some(parts) = case["body_gen"].as_object() {
        let [prefix, unit, suffix] = ["prefix", "unit", "suffix"].map(|part| parts[part].as_str().unwrap());
        let count = usize::try_from(parts["count"].as_u64().unwrap()).unwrap();
        return format!("{prefix}{}{suffix}", unit.repeat(count)).into_bytes();
    }
    case["body"].as_str().unwrap().as_bytes().to_vec()
}
