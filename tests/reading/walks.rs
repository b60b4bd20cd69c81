//! A walk by cursors sees every record once, whatever the limit, the filter, the page's size and the order.

use std::collections::BTreeSet;

use group_ledger::domain::timestamp::{Clock, Timestamp};
use group_ledger::storage::envelope::Envelope;
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};
use proptest::test_runner::Config;
use serde_json::Value;

use super::{api, walk};
use crate::support::{TEST_TIMEOUT, Table, files};

/// A record to be written: after how long, in which group, of which kind, by whom, how large.
#[derive(Clone, Debug)]
struct Written {
    after_millis: i64,
    group: u8,
    kind: &'static str,
    operator: u8,
    bytes: usize,
}

fn written() -> impl Strategy<Value = Written> {
    let after_millis = prop_oneof![3 => 0..50_i64, 1 => 0..100_000_000_i64];
    let kind = prop_oneof![Just("group.created"), Just("member.joined"), Just("member.left")];
    let bytes = prop_oneof![8 => 0..200_usize, 1 => 200_000..300_000_usize];
    (after_millis, 0..2_u8, kind, 0..3_u8, bytes).prop_map(|(after_millis, group, kind, operator, bytes)| Written {
        after_millis,
        group,
        kind,
        operator,
        bytes,
    })
}

/// Writes records, each at its own time; their places in the feed have it too.
async fn write(table: &Table, records: &[Written]) {
    let text = files("tests/envelopes").into_iter().find(|(name, _)| name == "record").unwrap().1;
    let own = table.ledger();
    let mut now = Timestamp::now().plus_millis(-records.iter().map(|record| record.after_millis).sum::<i64>() - 60_000);
    for (number, written) in records.iter().enumerate() {
        now = now.plus_millis(written.after_millis);
        let Envelope::Record(mut record) = Envelope::from_text(text.trim()).unwrap().remove(0) else {
            panic!("no record")
        };
        record.group_key = format!("openim#openim#g{}", written.group);
        record.change.kind = written.kind.to_owned().try_into().unwrap();
        record.change.operator = Some(format!("u{}", written.operator).into());
        record.digest = format!("{:016x}{number:048x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        record.occurred_at = now;
        record.raw = group_ledger::domain::record::Raw::Text("r".repeat(written.bytes).into());
        record.expires_at = None;
        let ledger = own.clone().with_clock(Clock::new(move || now));
        ledger.write(&[Envelope::Record(record)], TEST_TIMEOUT).await.unwrap();
    }
}

fn keys(changes: &[Value]) -> Vec<(String, String)> {
    let key = |change: &Value| {
        (change["group_key"].as_str().unwrap().to_owned(), change["change_key"].as_str().unwrap().to_owned())
    };
    changes.iter().map(key).collect()
}

proptest! {
    #![proptest_config(Config { cases: 24, ..Config::default() })]

    #[test]
    fn a_walk_sees_every_record_once(
        records in vec(written(), 0..40),
        limit in prop_oneof![1..5_usize, 1..1_000_usize],
        filter in prop_oneof![
            Just(""), Just("&kind=member.*"), Just("&kind=group.created&kind=member.left"), Just("&kind=topic.*"),
        ],
        by in prop_oneof![Just(""), Just("&operator=u1")],
        descending in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let table = Table::start().await;
            write(&table, &records).await;
            let api = api(&table);
            let order = if descending { "desc" } else { "asc" };
            let is_wanted = |record: &Value| {
                let kind = record["kind"].as_str().unwrap();
                match filter {
                    "" => true,
                    "&kind=member.*" => kind.starts_with("member."),
                    "&kind=topic.*" => false,
                    _ => kind == "group.created" || kind == "member.left",
                }
            };
            let all: Vec<Value> = table.records().into_iter().filter(|record| is_wanted(record)).collect();

            // The first page says from when on; its cursor keeps that.
            let from = format!("&from={}", Timestamp::now().plus_millis(-60 * 24 * 60 * 60 * 1_000));
            let path = format!("/ledger/v1/feed?settle=0&limit={limit}&order={order}{filter}");
            let feed = walk_feed(&api, &path, &from).await;
            let mut expected = all.clone();
            expected.sort_by_key(|record| record["feed_at"].as_str().unwrap().to_owned());
            if descending {
                expected.reverse();
            }
            assert_eq!(keys(&feed), keys(&expected), "the feed");

            for group in ["g0", "g1"] {
                let group_key = format!("openim#openim#{group}");
                let path = format!("/ledger/v1/history?group_key=openim%23openim%23{group}&limit={limit}&order={order}{filter}{by}");
                let history = walk(&api, &path, "changes", "cursor").await;
                let mut expected: Vec<Value> = all
                    .iter()
                    .filter(|record| record["group_key"] == group_key.as_str() && (by.is_empty() || record["operator"] == "u1"))
                    .cloned()
                    .collect();
                if descending {
                    expected.reverse();
                }
                assert_eq!(keys(&history), keys(&expected), "the history of {group}");
                let distinct: BTreeSet<_> = keys(&history).into_iter().collect();
                assert_eq!(distinct.len(), history.len(), "each once");
            }
        });
    }
}

/// The first page begins at `from`, the others at their cursor.
async fn walk_feed(api: &axum::Router, path: &str, from: &str) -> Vec<Value> {
    let first = super::get(api, &format!("{path}{from}")).await;
    assert_eq!(first.status, 200, "{}", first.body);
    let mut first = first.json();
    let mut changes = first["changes"].as_array_mut().unwrap().split_off(0);
    if first["more"] == true {
        let mut next = first["next"].as_str().unwrap().to_owned();
        loop {
            let mut page = super::get(api, &format!("{path}&after={next}")).await.json();
            changes.append(page["changes"].as_array_mut().unwrap());
            page["next"].as_str().unwrap().clone_into(&mut next);
            if page["more"] == false {
                break;
            }
        }
    }
    changes
}
