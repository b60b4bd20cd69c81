//! The routes of the state over an embedded DynamoDB: at a time, with all members, with what was before.

use std::time::Instant;

use group_ledger::domain::timestamp::Timestamp;
use group_ledger::reading::group_key::GroupKey;
use group_ledger::reading::state::callbacks::Callbacks;
use group_ledger::reading::state::read;
use serde_json::{Value, json};

use super::{api, get, sent};
use crate::support::{Sent, TENCENT_CHAT, Table, assert_answer};

const GROUP: &str = "tencent-chat%231400000000%23%40TGS%232J4SZEAEL";
const BEGIN: i64 = 1_670_574_414_123;

/// Sends callbacks of one group, `seconds` after the beginning.
async fn send(table: &Table, callbacks: &[(i64, &str, Value)]) {
    let receiver = table.receiver(TENCENT_CHAT, &[]);
    for (seconds, command, body) in callbacks {
        let mut body = body.clone();
        body["CallbackCommand"] = json!(format!("Group.CallbackAfter{command}"));
        body["GroupId"] = json!("@TGS#2J4SZEAEL");
        body["Type"] = json!("Public");
        body["EventTime"] = json!(BEGIN + seconds * 1_000);
        let sent = Sent::post("/tencent-chat", "SdkAppid=1400000000", body.to_string());
        assert_answer(TENCENT_CHAT, &sent.to(&receiver).await, 200, command);
    }
}

async fn a_group() -> Table {
    let table = Table::start().await;
    let accounts = |ids: &[&str]| ids.iter().map(|id| json!({ "Member_Account": id })).collect::<Value>();
    let callbacks = [
        (0, "CreateGroup", json!({ "Name": "Trail", "Owner_Account": "ann", "MemberList": accounts(&["bob"]) })),
        (
            60,
            "NewMemberJoin",
            json!({ "NewMemberList": accounts(&["eve", "dan"]), "JoinType": "Invited", "Operator_Account": "bob" }),
        ),
        (120, "GroupInfoChanged", json!({ "Name": "Runners", "Operator_Account": "ann" })),
        (180, "MemberExit", json!({ "ExitMemberList": accounts(&["dan"]), "ExitType": "Kicked" })),
        (240, "ChangeGroupOwner", json!({ "OldOwner_Account": "bob", "NewOwner_Account": "eve" })),
    ];
    send(&table, &callbacks).await;
    table
}

fn at(seconds: i64) -> String {
    Timestamp::from_unix_millis(BEGIN + seconds * 1_000).unwrap().to_string()
}

#[tokio::test]
async fn a_state_is_the_groups_by_now_or_by_a_time() {
    let table = a_group().await;
    let api = api(&table);
    let now = get(&api, &format!("/ledger/v1/state?group_key={GROUP}")).await;
    assert_eq!((now.status, now.headers["content-type"].to_str().unwrap()), (200, "application/json"));
    let now = now.json();
    let names = [
        "app_id",
        "attributes",
        "changes",
        "complete",
        "created",
        "custom_fields",
        "fields",
        "finished",
        "first_change_key",
        "gap_counts",
        "gaps",
        "group_id",
        "group_key",
        "last_change_key",
        "members",
        "members_complete",
        "members_total",
        "platform",
        "status",
        "topics",
    ];
    assert!(now.as_object().unwrap().keys().eq(names), "{now}");
    assert_eq!([&now["fields"]["name"]["value"], &now["fields"]["name"]["operator"]], ["Runners", "ann"]);
    assert_eq!([&now["finished"], &now["complete"], &now["members_complete"]], [true, true, true]);
    assert_eq!(now["members"].as_object().unwrap().keys().collect::<Vec<_>>(), ["ann", "bob", "eve"]);
    assert_eq!([&now["changes"], &now["members_total"]], [5, 3]);
    let gap = &now["gaps"][0];
    assert_eq!(
        [&gap["kind"], &gap["expected"], &gap["found"], &gap["occurred_at"]],
        [&json!("owner_mismatch"), &json!("ann"), &json!("bob"), &json!(at(240))]
    );

    for (seconds, changes, name, members) in
        [(0, 1, "Trail", 2), (60, 2, "Trail", 4), (119, 2, "Trail", 4), (120, 3, "Runners", 4), (180, 4, "Runners", 3)]
    {
        let then = get(&api, &format!("/ledger/v1/state?group_key={GROUP}&at={}", at(seconds))).await.json();
        assert_eq!([&then["changes"], &then["members_total"]], [changes, members], "{seconds}");
        assert_eq!([&then["fields"]["name"]["value"], &then["fields"]["owner"]["value"]], [name, "ann"], "{seconds}");
        assert_eq!(then["gaps"], json!([]), "{seconds}");
    }
    let same =
        get(&api, "/ledger/v1/state?platform=tencent-chat&app_id=1400000000&group_id=%40TGS%232J4SZEAEL").await.json();
    assert_eq!(same, now);
    for nothing in [
        format!("/ledger/v1/state?group_key={GROUP}&at={}", at(-1)),
        "/ledger/v1/members?group_key=openim%23openim%23none".to_owned(),
    ] {
        let answer = get(&api, &nothing).await;
        assert_eq!(
            (answer.status, answer.headers["content-type"].to_str().unwrap()),
            (404, "application/problem+json")
        );
        assert!(answer.json()["detail"].as_str().unwrap().contains("@TGS#"), "{}", answer.body);
    }
    for (wrong, parameter) in [
        ("", "group_key"),
        ("group_key=x", "group_key"),
        ("group_key=openim%23openim%23g&at=now", "at"),
        ("group_key=openim%23openim%23g&from=2022-12-09T00:00:00Z", "from"),
    ] {
        let answer = get(&api, &format!("/ledger/v1/state?{wrong}")).await;
        assert_eq!((answer.status, &answer.json()["parameter"]), (400, &json!(parameter)), "{wrong}");
    }
}

/// Lambda's answer may have 6 MB.
#[tokio::test]
async fn a_state_of_any_size_is_answered() {
    let table = a_group().await;
    let attributes = |number: i64| -> Value {
        (0..9).map(|key| json!({ "Key": format!("{number}-{key}"), "Value": "v".repeat(100_000) })).collect()
    };
    let modify = |number| json!({ "OptionType": "modify", "GroupAttr": attributes(number) });
    let callbacks: Vec<_> = (0..6).map(|number| (300 + number, "GroupAttrChanged", modify(number))).collect();
    send(&table, &callbacks).await;
    let answer = get(&api(&table), &format!("/ledger/v1/state?group_key={GROUP}")).await;
    assert!((1_900_000..4_500_000).contains(&answer.body.len()), "{} bytes", answer.body.len());
    let state = answer.json();
    let attributes = state["attributes"].as_object().unwrap().len();
    assert_eq!((attributes, &state["values_omitted"]), (19, &json!(54 - 19)));
    assert_eq!((&state["fields"]["name"]["value"], &state["members_total"]), (&json!("Runners"), &json!(3)));
}

#[tokio::test]
async fn all_members_are_listed_by_pages() {
    let table = a_group().await;
    let joining: Vec<(i64, &str, Value)> = (0..6)
        .map(|batch| {
            let accounts: Value = (0..1_000)
                .map(|user| json!({ "Member_Account": format!("user{:05}", batch * 1_000 + user) }))
                .collect();
            (300 + batch, "NewMemberJoin", json!({ "NewMemberList": accounts, "JoinType": "Apply" }))
        })
        .collect();
    send(&table, &joining).await;
    let api = api(&table);
    let state = get(&api, &format!("/ledger/v1/state?group_key={GROUP}")).await.json();
    assert_eq!((state["members"].as_object().unwrap().len(), &state["members_total"]), (5_000, &json!(6_003)));
    let path = format!("/ledger/v1/members?group_key={GROUP}&limit=1000");
    let first = get(&api, &path).await.json();
    assert_eq!(
        [&first["members_total"], &first["members_complete"], &first["finished"], &first["more"]],
        [&json!(6_003), &json!(true), &json!(true), &json!(true)]
    );
    let members = super::walk(&api, &path, "members", "cursor").await;
    assert_eq!(members.len(), 6_003);
    let users: Vec<&str> = members.iter().map(|member| member["user"].as_str().unwrap()).collect();
    assert!(users.is_sorted() && users.windows(2).all(|two| two[0] != two[1]));
    assert_eq!(
        members[2],
        json!({ "user": "eve", "since": at(60), "how": "invited", "operator": "bob", "change_key": members[2]["change_key"] })
    );
    let then = get(&api, &format!("/ledger/v1/members?group_key={GROUP}&at={}", at(0))).await.json();
    assert_eq!(
        then["members"].as_array().unwrap().iter().map(|member| &member["user"]).collect::<Vec<_>>(),
        ["ann", "bob"]
    );
    assert_eq!([&then["next"], &then["more"]], [&Value::Null, &json!(false)]);
    let cursor = first["next"].as_str().unwrap();
    let other = get(&api, &format!("/ledger/v1/members?group_key={GROUP}&at={}&cursor={cursor}", at(0))).await;
    assert_eq!((other.status, &other.json()["parameter"]), (400, &json!("cursor")));
}

#[tokio::test]
async fn a_history_shows_what_was_before() {
    let table = a_group().await;
    let api = api(&table);
    let path = format!("/ledger/v1/history?group_key={GROUP}&previous=true");
    let previous = |answer: &Value| {
        answer["changes"].as_array().unwrap().iter().map(|change| change["previous"].clone()).collect::<Vec<_>>()
    };
    let all = [Value::Null, Value::Null, json!({ "name": "Trail" }), Value::Null, json!({ "owner": "ann" })];
    assert_eq!(previous(&get(&api, &path).await.json()), all);
    let backwards: Vec<Value> = all.iter().rev().cloned().collect();
    assert_eq!(previous(&get(&api, &format!("{path}&order=desc")).await.json()), backwards);
    let filtered = get(&api, &format!("{path}&kind=group.owner_changed")).await.json();
    assert_eq!(previous(&filtered), [json!({ "owner": "ann" })]);
    let pages = super::walk(&api, &format!("{path}&limit=2"), "changes", "cursor").await;
    assert_eq!(pages.iter().map(|change| change["previous"].clone()).collect::<Vec<_>>(), all);
    let csv = get(&api, &format!("{path}&format=csv")).await.body;
    assert!(csv.contains(r#""{""name"":""Trail""}""#), "{csv}");
    let without = get(&api, &format!("/ledger/v1/history?group_key={GROUP}")).await.body;
    assert!(!without.contains("previous"));
}

/// Each callback has a switch of its own. Whether both are on is seen by what the ledger has of the app, in any group.
#[tokio::test]
async fn members_are_complete_only_where_the_app_tells_of_joining_and_leaving() {
    let table = sent().await;
    let asked = format!("/ledger/v1/state?group_key={GROUP}");
    assert_eq!(get(&api(&table), &asked).await.json()["members_complete"], false, "neither is told");
    let receiver = table.receiver(TENCENT_CHAT, &[]);
    for (command, list, complete) in [("NewMemberJoin", "NewMemberList", false), ("MemberExit", "ExitMemberList", true)]
    {
        let body = json!({ "CallbackCommand": format!("Group.CallbackAfter{command}"), "GroupId": "another", "Type": "Public",
            "EventTime": Timestamp::now().unix_millis(), list: [{ "Member_Account": "zoe" }] });
        let sent = Sent::post("/tencent-chat", "SdkAppid=1400000000", body.to_string());
        assert_answer(TENCENT_CHAT, &sent.to(&receiver).await, 200, command);
        // Another reader, because one remembers for a while what was not there.
        let state = get(&api(&table), &asked).await.json();
        assert_eq!([&state["complete"], &state["members_complete"]], [true, complete], "{command}");
    }
}

/// DynamoDB's pages end at a megabyte. Where the time is over before the last of them, the state is that of the changes so far.
#[tokio::test]
async fn a_history_of_several_pages_is_folded_whole_or_says_that_it_is_not() {
    let table = Table::start().await;
    let large = "x".repeat(60_000);
    let joins = (0..40).map(|number| {
        let body = json!({ "NewMemberList": [{ "Member_Account": format!("user{number}") }], "JoinType": "Apply", "Padding": large });
        (60 * (number + 1), "NewMemberJoin", body)
    });
    let created = (0, "CreateGroup", json!({ "Name": "Trail", "Owner_Account": "ann" }));
    let wrong = (3_600, "ChangeGroupOwner", json!({ "OldOwner_Account": "bob", "NewOwner_Account": "eve" }));
    let callbacks: Vec<(i64, &str, Value)> = [created].into_iter().chain(joins).chain([wrong]).collect();
    send(&table, &callbacks).await;
    let whole = get(&api(&table), &format!("/ledger/v1/state?group_key={GROUP}")).await.json();
    assert_eq!(
        [&whole["changes"], &whole["members_total"], &whole["finished"]],
        [&json!(42), &json!(41), &json!(true)]
    );
    assert_eq!(whole["gap_counts"], json!({ "owner_mismatch": 1 }));

    let key = || GroupKey::parse("tencent-chat#1400000000#@TGS#2J4SZEAEL").unwrap();
    let state = read::state(&table.ledger(), &Callbacks::default(), key(), None, Some(Instant::now())).await;
    let part = state.unwrap().unwrap();
    assert!((10..30).contains(&part.changes) && !part.finished, "{} changes", part.changes);
    assert_eq!((part.members.len() as u64, part.gaps.len()), (part.changes, 0));
    let then =
        read::state(&table.ledger(), &Callbacks::default(), key(), Some(part.members["user9"].since.unwrap()), None)
            .await;
    assert_eq!(then.unwrap().unwrap().changes, 11);
}
