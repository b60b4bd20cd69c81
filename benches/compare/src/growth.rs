//! What a callback costs as it grows: processor time by the body's size and by members, and DynamoDB's write units, as
//! DynamoDB itself counts them.

use std::time::Duration;

use anyhow::{Context, Result};
use dynoxide::Database;
use serde_json::{Value, json};

use crate::event;
use crate::measure::{Authorities, Started, Subject, Transport, ensure_items};
use crate::stub::Dynamodb;

/// Sizes of bodies, in bytes.
const BYTES: [usize; 8] = [300, 1024, 4096, 16 * 1024, 64 * 1024, 128 * 1024, 256 * 1024, 1024 * 1024];
/// Numbers of members.
const MEMBERS: [usize; 8] = [1, 3, 10, 30, 100, 500, 2000, 6000];

/// Of each subject, what each size comes to.
pub(crate) type Lines = Vec<(&'static str, Vec<(f64, f64)>)>;

/// How cost grows.
pub(crate) struct Growth {
    /// Processor time a callback, in microseconds, by the body's bytes.
    pub(crate) cpu_by_bytes: Lines,
    /// The same by members.
    pub(crate) cpu_by_members: Lines,
    /// Write units of `tencent-chat` by the body's bytes.
    pub(crate) units_by_bytes: Vec<(f64, f64)>,
}

pub(crate) async fn measure(subjects: &[Subject], dynamodb: &Dynamodb, authorities: &Authorities) -> Result<Growth> {
    let of = ["tencent-chat", "floor", "Node 20, SDK v3", "Python 3, boto3"];
    let mut growth = Growth { cpu_by_bytes: Vec::new(), cpu_by_members: Vec::new(), units_by_bytes: Vec::new() };
    for subject in subjects.iter().filter(|subject| of.contains(&subject.name)) {
        println!("growth of {}", subject.name);
        let started = Started::new(subject, dynamodb, authorities, Transport::Tls).await?;
        let mut by_bytes = Vec::new();
        for bytes in BYTES {
            let event = event::create_group_of(bytes);
            by_bytes.push((bytes as f64, cpu(subject, &started, dynamodb, &event).await?));
            if subject.name == "tencent-chat" {
                growth.units_by_bytes.push((bytes as f64, write_units(&started, dynamodb, &event).await?));
            }
        }
        growth.cpu_by_bytes.push((subject.name, by_bytes));
        let mut by_members = Vec::new();
        for members in MEMBERS {
            by_members.push((members as f64, cpu(subject, &started, dynamodb, &event::create_group(members)).await?));
        }
        growth.cpu_by_members.push((subject.name, by_members));
        started.end().await?;
    }
    Ok(growth)
}

/// The processor time of one callback, in microseconds: the median of some batches, after one that is not counted. Every
/// callback must have put one item.
async fn cpu(subject: &Subject, started: &Started, dynamodb: &Dynamodb, event: &str) -> Result<f64> {
    let callbacks = if event.len() < 100_000 { 100 } else { 10 };
    let counts = dynamodb.counts();
    let mut batches: Vec<Duration> = Vec::new();
    for _ in 0..6 {
        let before = started.cpu()?;
        for _ in 0..callbacks {
            started.call(event).await?;
        }
        batches.push((started.cpu()? - before) / callbacks);
    }
    ensure_items(subject, dynamodb.counts().since(counts), batches.len() * callbacks as usize)?;
    let counted = &mut batches[1..];
    counted.sort();
    Ok(counted[counted.len() / 2].as_secs_f64() * 1e6)
}

/// The write units of what one callback puts, in a DynamoDB of its own.
async fn write_units(started: &Started, dynamodb: &Dynamodb, event: &str) -> Result<f64> {
    dynamodb.requests();
    started.call(event).await?;
    let database = Database::memory()?;
    database.create_table(serde_json::from_value(json!({
        "TableName": "group-changes", "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [
            { "AttributeName": "group_key", "AttributeType": "S" }, { "AttributeName": "change_key", "AttributeType": "S" },
            { "AttributeName": "feed_key", "AttributeType": "S" }, { "AttributeName": "feed_at", "AttributeType": "S" },
        ],
        "KeySchema": [
            { "AttributeName": "group_key", "KeyType": "HASH" }, { "AttributeName": "change_key", "KeyType": "RANGE" },
        ],
        // The feed's, as template.yaml has it.
        "GlobalSecondaryIndexes": [{
            "IndexName": "feed",
            "KeySchema": [
                { "AttributeName": "feed_key", "KeyType": "HASH" }, { "AttributeName": "feed_at", "KeyType": "RANGE" },
            ],
            "Projection": {
                "ProjectionType": "INCLUDE",
                "NonKeyAttributes":
                    ["kind", "platform", "app_id", "group_id", "operator", "group_type", "occurred_at", "received_at"],
            },
        }],
    }))?)?;
    let mut units = 0.0;
    for request in dynamodb.requests() {
        let mut request: Value = serde_json::from_slice(&request)?;
        request["ReturnConsumedCapacity"] = "TOTAL".into();
        let answer = serde_json::to_value(database.put_item(serde_json::from_value(request)?)?)?;
        units += answer["ConsumedCapacity"]["CapacityUnits"].as_f64().context("no consumed capacity")?;
    }
    Ok(units)
}
