//! The demo: a week in the life of three groups, as `group-ledger send --demo` sends it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use group_ledger::domain::change::Kind;
use group_ledger::domain::timestamp::Timestamp;
use group_ledger::platform::PLATFORMS;
use insta::assert_snapshot;
use serde_json::Value;

use crate::reading::{api, get};
use crate::support::cli::run;
use crate::support::{Sent, Table, assert_answer, platform_of};

/// When the week ends: 2024-05-07T10:00:00.000Z.
pub(crate) const END: i64 = 1_715_076_000_000;

pub(crate) const COMMUNITY: &str = "tencent-chat#1400000000#@TGS#_@TGS#cTRAIL1";
pub(crate) const NIGHT_SHIFT: &str = "tencent-chat#1400000000#@TGS#2NIGHT1";
pub(crate) const HIKERS: &str = "openim#openim#hikers-1";

/// A moment of the week, minutes before its end.
pub(crate) fn moment(minutes_ago: i64) -> Timestamp {
    Timestamp::from_unix_millis(END - minutes_ago * 60_000).unwrap()
}

/// A table with the week in it, each callback received when it happened.
pub(crate) async fn week() -> Table {
    let table = Table::start().await;
    let receivers = PLATFORMS.map(|platform| (platform, table.receiver(platform, &[])));
    for (number, line) in include_str!("../../src/cli/demo.jsonl").lines().enumerate() {
        let line: Value = serde_json::from_str(&line.replace("{run}", "1")).unwrap();
        let at = moment(line["minutes_ago"].as_i64().unwrap()).unix_millis();
        let path = line["path"].as_str().unwrap();
        let body = line["body"].to_string().replace("\"{time}\"", &at.to_string());
        let sent = Sent::post(path, line["query"].as_str().unwrap_or_default(), body);
        let sent = match line["operation_id"].as_str() {
            Some(id) => sent.header("operationID", id),
            None => sent,
        };
        let sent = Sent { received_at: at, ..sent.request(&format!("demo-{number}")) };
        let platform = platform_of(path.split('/').nth(1).unwrap());
        let (_, receiver) = receivers.iter().find(|(own, _)| own.name == platform.name).unwrap();
        assert_answer(platform, &sent.to(receiver).await, 200, &format!("line {}", number + 1));
    }
    table
}

#[tokio::test]
async fn the_week_has_every_kind_and_only_one_of_its_groups_has_gaps() {
    let table = week().await;
    let records = table.records();
    let kinds: BTreeSet<&str> = records.iter().map(|record| record["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, Kind::ALL.iter().map(|kind| kind.as_str()).collect());
    let groups: BTreeSet<&str> = records.iter().filter_map(|record| record["group_id"].as_str()).collect();
    assert_eq!(groups.len(), 4, "three, and the app's own changes: {groups:?}");
    let api = api(&table);
    for (group, gaps) in [
        (COMMUNITY, &[][..]),
        (HIKERS, &[]),
        (NIGHT_SHIFT, &["owner_mismatch", "member_unknown", "member_known", "change_after_dismissal"]),
    ] {
        let state = get(&api, &format!("/ledger/v1/state?group_key={}", group.replace('#', "%23"))).await.json();
        let found: Vec<&str> =
            state["gaps"].as_array().unwrap().iter().map(|gap| gap["kind"].as_str().unwrap()).collect();
        assert_eq!(found, gaps, "{group}");
        // Of the life after its dismissal, the night shift's creation is missing.
        assert_eq!(state["complete"], group != NIGHT_SHIFT, "{group}");
        assert_eq!(state["members_complete"], group == COMMUNITY, "{group}");
    }
}

/// The state of each group at three moments of the week, as the command line shows it.
#[tokio::test]
async fn the_weeks_states_can_be_read() {
    let table = week().await;
    let settings = BTreeMap::from([("AWS_ENDPOINT_URL_DYNAMODB".to_owned(), table.endpoint.clone())]);
    for (name, group) in [("community", COMMUNITY), ("night-shift", NIGHT_SHIFT), ("hikers", HIKERS)] {
        let mut shown = String::new();
        for minutes_ago in [6_000, 2_000, 0] {
            let at = moment(minutes_ago).to_string();
            let ended = run(&settings, &["state", group, "--at", &at], "").await;
            ended.succeeded();
            writeln!(shown, "As of {at}\n\n{}", ended.output).unwrap();
        }
        insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
            assert_snapshot!(format!("demo-{name}"), shown);
        });
    }
}
