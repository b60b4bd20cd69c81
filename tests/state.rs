//! The state of a group: what each kind of change does to it, the order of the fold, and what a history proves to be missing.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "times of tests are small and whole milliseconds"
)]

use std::borrow::Cow;

use group_ledger::domain::change::{Detail, Kind};
use group_ledger::domain::timestamp::Timestamp;
use group_ledger::platform::Registration;
use group_ledger::platform::command::Field;
use group_ledger::reading::change::{Change, Plain};
use group_ledger::reading::group_key::GroupKey;
use group_ledger::reading::state::State;
use group_ledger::reading::state::fold::Fold;
use serde_json::{Value, json};

use crate::support::{OPENIM, TENCENT_CHAT};

mod demo;
mod gaps;
mod random;

/// When the tests' histories begin.
const BEGIN: i64 = 1_670_574_414_123;
const APP: &str = "1400000000";
const GROUP: &str = "@TGS#2J4SZEAEL";

pub(crate) fn time(millis: i64) -> Timestamp {
    Timestamp::from_unix_millis(millis).unwrap()
}

/// Long after every history.
fn now() -> Timestamp {
    time(BEGIN + 365 * 24 * 60 * 60 * 1_000)
}

/// A change `seconds` after the beginning.
pub(crate) fn change(platform: &Registration, seconds: f64, kind: &str, details: &Value) -> Change {
    let at = time(BEGIN + (seconds * 1_000.0).round() as i64);
    let text = |name: &str| details.get(name).and_then(Value::as_str).map(str::to_owned);
    // Told from one another by what they are, as digests do.
    let digest = format!("{:016x}", fxhash(&format!("{kind}{details}")));
    Change {
        group_key: format!("{}#{APP}#{GROUP}", platform.name),
        change_key: format!("{at}#{digest}"),
        platform: platform.name.to_owned(),
        app_id: APP.to_owned(),
        group_id: GROUP.to_owned(),
        kind: kind.to_owned(),
        command: None,
        occurred_at: at,
        occurred_at_source: None,
        received_at: at,
        recorded_at: None,
        operator: text("operator"),
        group_type: text("type"),
        change: Some(Plain(
            details
                .as_object()
                .unwrap()
                .iter()
                .filter(|(name, _)| !["operator", "type", "expires_at"].contains(&name.as_str()))
                .map(|(name, value)| (Cow::Owned(name.clone()), detail(value)))
                .collect(),
        )),
        previous: None,
        digest: Some(digest),
        source: None,
        request_id: None,
        expires_at: details.get("expires_at").and_then(Value::as_i64),
    }
}

fn fxhash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

fn detail(value: &Value) -> Detail<'static> {
    match value {
        Value::String(text) => Detail::Text(Cow::Owned(text.clone())),
        Value::Number(number) => Detail::Number(number.to_string()),
        Value::Bool(flag) => Detail::Flag(*flag),
        Value::Null => Detail::Nothing,
        Value::Array(ids) => Detail::Ids(ids.iter().map(|id| Cow::Owned(id.as_str().unwrap().to_owned())).collect()),
        Value::Object(map) => {
            Detail::Map(map.iter().map(|(key, value)| (Cow::Owned(key.clone()), detail(value))).collect())
        }
    }
}

pub(crate) fn fold_of(platform: &Registration) -> Fold {
    Fold::new(GroupKey::parse(&format!("{}#{APP}#{GROUP}", platform.name)).unwrap(), now())
}

/// The state after changes in the order of their keys, where all of the app's callbacks are switched on.
pub(crate) fn state(platform: &Registration, mut changes: Vec<Change>) -> State {
    changes.sort_by(|one, other| one.change_key.cmp(&other.change_key));
    let mut fold = fold_of(platform);
    for change in changes {
        fold.add(change);
    }
    fold.end(true).state(true).unwrap()
}

/// A state as JSON, with nothing but values: not where they come from.
pub(crate) fn values(state: &State) -> Value {
    fn value(values: &Value) -> Value {
        values.as_object().unwrap().iter().map(|(name, value)| (name.clone(), value["value"].clone())).collect()
    }
    let state = json!(state);
    let topics = state["topics"].as_object().unwrap().iter();
    json!({
        "status": state["status"],
        "complete": state["complete"],
        "members_complete": state["members_complete"],
        "fields": value(&state["fields"]),
        "custom_fields": value(&state["custom_fields"]),
        "attributes": value(&state["attributes"]),
        "members": state["members"].as_object().unwrap().keys().collect::<Vec<_>>(),
        "topics": topics.map(|(id, fields)| (id.clone(), value(fields))).collect::<serde_json::Map<_, _>>(),
    })
}

fn created() -> Value {
    json!({ "type": "Public", "operator": "root", "name": "Trail", "owner": "ann", "members": ["ann", "bob"],
        "custom_fields": { "city": "Oslo", "level": 1 } })
}

/// What the gaps beyond the first `known` found.
fn new_gaps(state: &State, known: &mut usize) -> Vec<String> {
    let new = state.gaps.iter().skip(*known).map(|gap| gap.found.clone().unwrap()).collect();
    *known = state.gaps.len();
    new
}

/// What each change does, one after the other.
#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn each_kind_of_change_does_its_part() {
    let steps = [
        (
            "group.created",
            created(),
            json!({ "fields": { "name": "Trail", "owner": "ann", "group_type": "Public" },
            "custom_fields": { "city": "Oslo", "level": 1 }, "members": ["ann", "bob"] }),
        ),
        (
            "group.info_changed",
            json!({ "introduction": "x", "name": "", "custom_fields": { "level": 2, "new": null }, "member_count": 3 }),
            json!({ "fields": { "name": "", "introduction": "x", "owner": "ann", "group_type": "Public" },
            "custom_fields": { "city": "Oslo", "level": 2, "new": null } }),
        ),
        (
            "group.attributes_changed",
            json!({ "operation": "set", "attributes": { "a": "1", "b": "2" } }),
            json!({ "attributes": { "a": "1", "b": "2" } }),
        ),
        (
            "group.attributes_changed",
            json!({ "operation": "modify", "attributes": { "b": "3", "c": "4" } }),
            json!({ "attributes": { "a": "1", "b": "3", "c": "4" } }),
        ),
        (
            "group.attributes_changed",
            json!({ "operation": "delete", "attributes": { "a": null, "none": null } }),
            json!({ "attributes": { "b": "3", "c": "4" } }),
        ),
        (
            "group.attributes_changed",
            json!({ "operation": "swap", "attributes": { "b": "9" } }),
            json!({ "attributes": { "b": "3", "c": "4" } }),
        ),
        (
            "group.attributes_changed",
            json!({ "attributes": { "b": "5" } }),
            json!({ "attributes": { "b": "5", "c": "4" } }),
        ),
        ("group.attributes_changed", json!({ "operation": "clear", "attributes": {} }), json!({ "attributes": {} })),
        (
            "member.joined",
            json!({ "members": ["eve", "dan"], "how": "invited" }),
            json!({ "members": ["ann", "bob", "dan", "eve"] }),
        ),
        ("member.left", json!({ "members": ["dan"], "how": "quit" }), json!({ "members": ["ann", "bob", "eve"] })),
        (
            "group.owner_changed",
            json!({ "old_owner": "ann", "new_owner": "bob" }),
            json!({ "fields": { "name": "", "introduction": "x", "owner": "bob", "group_type": "Public" } }),
        ),
        (
            "member.left",
            json!({ "members": ["bob"], "how": "quit" }),
            json!({ "fields": { "name": "", "introduction": "x", "group_type": "Public" }, "members": ["ann", "eve"] }),
        ),
        (
            "topic.created",
            json!({ "topic_id": "t1", "name": "Routes", "custom_fields": { "a": 1, "b": 2 } }),
            json!({ "topics": { "t1": { "name": "Routes", "custom_fields": { "a": 1, "b": 2 } } } }),
        ),
        (
            "topic.info_changed",
            json!({ "topic_id": "t1", "custom_fields": { "b": 3 } }),
            json!({ "topics": { "t1": { "name": "Routes", "custom_fields": { "a": 1, "b": 3 } } } }),
        ),
        (
            "topic.info_changed",
            json!({ "name": "whose?" }),
            json!({ "topics": { "t1": { "name": "Routes", "custom_fields": { "a": 1, "b": 3 } } } }),
        ),
        ("topic.dismissed", json!({ "topic_ids": ["t1", "t2"] }), json!({ "topics": {} })),
        (
            "member.state_changed",
            json!({ "members": ["ann"], "state": "Offline" }),
            json!({ "members": ["ann", "eve"] }),
        ),
        ("group.full", json!({}), json!({ "members": ["ann", "eve"] })),
        ("group.unknown", json!({}), json!({ "members": ["ann", "eve"] })),
        ("group.of_a_later_version", json!({ "name": "?" }), json!({ "members": ["ann", "eve"] })),
        (
            "group.dismissed",
            json!({ "owner": "eve", "name": "Trail", "members": ["ann", "zoe"] }),
            json!({ "status": "dismissed", "members": ["ann", "eve", "zoe"],
            "fields": { "name": "Trail", "introduction": "x", "owner": "eve", "group_type": "Public" } }),
        ),
        (
            "group.created",
            json!({ "type": "Work", "owner": "kim", "members": ["lou"] }),
            json!({ "status": "active", "fields": { "owner": "kim", "group_type": "Work" }, "custom_fields": {}, "members": ["kim", "lou"] }),
        ),
    ];
    let (mut changes, mut known) = (Vec::new(), 0);
    for (index, (kind, details, expected)) in steps.iter().enumerate() {
        changes.push(change(TENCENT_CHAT, index as f64 * 60.0, kind, details));
        let state = state(TENCENT_CHAT, changes.clone());
        let values = values(&state);
        for (name, expected) in expected.as_object().unwrap() {
            assert_eq!(values[name], *expected, "{kind} {details}: {name}");
        }
        // Nobody ever told of zoe.
        let gaps: &[&str] = if details["members"] == json!(["ann", "zoe"]) { &["zoe"] } else { &[] };
        assert_eq!(new_gaps(&state, &mut known), gaps, "{kind} {details}");
        assert_eq!([state.complete, state.members_complete], [true, true], "{kind} {details}");
        assert_eq!(state.changes, index as u64 + 1);
    }
}

#[test]
fn a_value_says_since_when_it_holds_and_by_which_change() {
    let changes = vec![
        change(TENCENT_CHAT, 0.0, "group.created", &created()),
        change(
            TENCENT_CHAT,
            60.0,
            "member.joined",
            &json!({ "members": ["eve"], "how": "invited", "operator": "bob" }),
        ),
        change(TENCENT_CHAT, 120.0, "member.changed", &json!({ "member": "eve", "role": "Admin", "nickname": "E" })),
        change(TENCENT_CHAT, 180.0, "group.info_changed", &json!({ "name": "Runners", "operator": "eve" })),
    ];
    let key = |index: usize| changes[index].change_key.clone();
    let at = |index: usize| changes[index].occurred_at.to_string();
    let state = json!(state(TENCENT_CHAT, changes.clone()));
    assert_eq!(
        state["fields"]["name"],
        json!({ "value": "Runners", "since": at(3), "change_key": key(3), "operator": "eve" })
    );
    assert_eq!(
        state["fields"]["owner"],
        json!({ "value": "ann", "since": at(0), "change_key": key(0), "operator": "root" })
    );
    assert_eq!(
        state["members"]["eve"],
        json!({ "since": at(1), "how": "invited", "change_key": key(1), "operator": "bob", "role": "Admin", "nickname": "E" })
    );
    assert_eq!(state["members"]["ann"]["how"], "created");
    assert_eq!([&state["first_change_key"], &state["last_change_key"]], [&json!(key(0)), &json!(key(3))]);
}

/// OpenIM tells of neither invited nor accepted members.
#[test]
fn a_member_whose_joining_is_not_told_has_no_beginning() {
    let openim = |seconds, kind, details| change(OPENIM, seconds, kind, &details);
    let state = state(
        OPENIM,
        vec![
            openim(0.0, "group.created", json!({ "type": "2", "owner": "ann", "members": ["ann"] })),
            openim(300.0, "member.changed", json!({ "member": "eve", "role": 60 })),
            openim(600.0, "member.left", json!({ "members": ["dan"], "how": "kicked" })),
        ],
    );
    let members = json!(state)["members"].clone();
    assert_eq!(members["eve"]["since"], Value::Null);
    assert_eq!(members["eve"]["role"], 60);
    assert_eq!((state.complete, state.members_complete, state.gaps.len()), (true, false, 0));
}

/// `FIELDS` is what the platforms' rows of a changed profile can say.
#[test]
fn the_fields_are_those_that_a_change_of_the_profile_can_set() {
    let mut told: Vec<&str> = group_ledger::platform::PLATFORMS
        .iter()
        .flat_map(|platform| platform.commands)
        .filter(|command| command.kind == Kind::GroupInfoChanged)
        .flat_map(|command| command.fields.iter().map(Field::name))
        .filter(|name| *name != "custom_fields")
        .collect();
    told.sort_unstable();
    told.dedup();
    let mut fields = group_ledger::reading::state::group::FIELDS.to_vec();
    fields.sort_unstable();
    assert_eq!(told, fields);
}

/// What was before is what the fold had, in its order.
#[test]
fn a_change_says_what_its_fields_were_before() {
    let changes = vec![
        change(TENCENT_CHAT, 0.0, "group.created", &created()),
        change(
            TENCENT_CHAT,
            60.0,
            "group.info_changed",
            &json!({ "name": "Runners", "custom_fields": { "level": 2, "new": 1 } }),
        ),
        change(
            TENCENT_CHAT,
            120.0,
            "group.attributes_changed",
            &json!({ "operation": "set", "attributes": { "a": "1" } }),
        ),
        change(
            TENCENT_CHAT,
            180.0,
            "group.attributes_changed",
            &json!({ "operation": "set", "attributes": { "b": "2" } }),
        ),
        change(TENCENT_CHAT, 240.0, "group.owner_changed", &json!({ "old_owner": "ann", "new_owner": "bob" })),
        change(TENCENT_CHAT, 300.0, "member.changed", &json!({ "member": "bob", "nickname": "B" })),
        change(TENCENT_CHAT, 360.0, "member.changed", &json!({ "member": "bob", "nickname": "Bob", "role": "Admin" })),
    ];
    let keys: Vec<String> = changes.iter().map(|change| change.change_key.clone()).collect();
    let mut fold = fold_of(TENCENT_CHAT).with_previous_of(keys.clone());
    for change in changes {
        fold.add(change);
    }
    let previous = fold.end(true).into_previous();
    let previous: Vec<Value> =
        keys.iter().map(|key| previous.get(key).map_or(Value::Null, |details| json!(Plain(details.clone())))).collect();
    assert_eq!(
        previous,
        [
            Value::Null,
            json!({ "name": "Trail", "custom_fields": { "level": 1 } }),
            Value::Null,
            json!({ "attributes": { "a": "1" } }),
            json!({ "owner": "ann" }),
            Value::Null,
            json!({ "nickname": "B" }),
        ]
    );
}
