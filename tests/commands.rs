//! `docs/protocol.md` held against the code: every command of every platform, in every spelling.

use std::collections::BTreeSet;
use std::fs;

use group_ledger::platform::{PLATFORMS, Registration};
use serde_json::json;

use crate::support::{OPENIM, Sent, TENCENT_CHAT, Table, assert_answer, callback, files};

/// A row of the page.
struct Row {
    command: String,
    becomes: String,
    spellings: Vec<String>,
    fixture: String,
}

/// The rows whose fixtures are a platform's.
fn rows(platform: &str) -> Vec<Row> {
    let page = fs::read_to_string("docs/protocol.md").unwrap();
    let cells =
        page.lines().filter(|line| line.starts_with("| `")).map(|line| line.split('|').map(str::trim).collect());
    let row = |cells: Vec<&str>| Row {
        command: cells[1].trim_matches('`').to_owned(),
        becomes: cells[2].to_owned(),
        spellings: cells[3].split_whitespace().map(|spelling| spelling.trim_matches('`').to_owned()).collect(),
        fixture: cells[4].trim_start_matches("[sample](../").trim_end_matches(')').to_owned(),
    };
    cells.map(row).filter(|row| row.fixture.starts_with(&format!("tests/commands/{platform}/"))).collect()
}

#[tokio::test]
async fn every_row_is_true() {
    for platform in PLATFORMS {
        every_row_of(platform).await;
    }
}

async fn every_row_of(platform: &Registration) {
    let rows = rows(platform.name);
    let fixtures: BTreeSet<_> =
        files(&format!("tests/commands/{}", platform.name)).into_iter().map(|(name, _)| name).collect();
    assert_eq!(rows.iter().map(|row| row.command.clone()).collect::<BTreeSet<_>>(), fixtures);
    for Row { command, becomes, spellings, fixture } in rows {
        let body = fs::read_to_string(&fixture).unwrap();
        for spelling in [&command].into_iter().chain(&spellings) {
            let table = Table::start().await;
            let sent = callback(platform, spelling, body.replace(&command, spelling));
            let response = sent.to(&table.receiver(platform, &[])).await;
            // What these answers have besides, tests/hooks.rs holds.
            if spelling.starts_with("callbackBeforeSetGroupInfo") {
                assert_eq!(response.status(), 200, "{spelling}");
            } else {
                assert_answer(platform, &response, 200, spelling);
            }
            let records = table.records();
            let kind = records.first().map_or("ignored", |record| record["kind"].as_str().unwrap());
            assert_eq!(kind, becomes, "{spelling}");
            for record in records {
                let canonical = if becomes == "group.unknown" { spelling } else { &command };
                assert_eq!(record["command"], *canonical, "{spelling}");
                assert_eq!(record["raw"].as_str().unwrap().as_bytes(), sent.body, "{spelling}");
            }
        }
    }
}

/// Whatever it is called, what people say to each other is not recorded.
#[tokio::test]
async fn messages_are_never_stored() {
    let table = Table::start().await;
    for command in ["Group.CallbackAfterMsgWithDraw", "Group.CallbackAfterModifyMsg", "Group.CallbackOnMessageReaction"]
    {
        let body = json!({ "CallbackCommand": command, "GroupId": "g1", "MsgBody": ["said"] }).to_string();
        let response =
            Sent::post("/tencent-chat", "SdkAppid=1400000000", body).to(&table.receiver(TENCENT_CHAT, &[])).await;
        assert_answer(TENCENT_CHAT, &response, 200, command);
    }
    for command in
        ["callbackAfterRevokeMsgCommand", "callbackAfterSendSingleMsgCommand", "callbackAfterNewMessageCommand"]
    {
        let body = json!({ "callbackCommand": command, "groupID": "g1", "content": "said" }).to_string();
        let response = Sent::post("/openim", "", body).to(&table.receiver(OPENIM, &[])).await;
        assert_answer(OPENIM, &response, 200, command);
    }
    // Nor kept because it cannot be read.
    for body in ["{\"MsgBody\":\"\\ud83d\"}", "said", "{\"CallbackCommand\":\"Group.CallbackAfterCreateGroup\"}"] {
        let query = "SdkAppid=1400000000&CallbackCommand=Group.CallbackAfterSendMsg";
        for encoding in ["identity", "gzip"] {
            let sent = Sent::post("/tencent-chat", query, body).header("content-encoding", encoding);
            sent.to(&table.receiver(TENCENT_CHAT, &[])).await;
            let sent =
                Sent::post("/openim/callbackAfterSendGroupMsgCommand", "", body).header("content-encoding", encoding);
            assert_answer(OPENIM, &sent.to(&table.receiver(OPENIM, &[])).await, 200, body);
        }
    }
    let crossed = r#"{"callbackCommand":"callbackAfterSendGroupMsgCommand","groupID":"g1","content":"said"}"#;
    Sent::post("/openim/callbackAfterCreateGroupCommand", "", crossed).to(&table.receiver(OPENIM, &[])).await;
    assert!(table.items().is_empty());
}

/// The configured URL may end in anything; only what looks like a command is one.
#[tokio::test]
async fn the_last_part_of_openims_url_is_a_command_where_it_looks_like_one() {
    let in_body = r#"{"callbackCommand":"callbackAfterQuitGroupCommand","groupID":"g1"}"#;
    for (segment, body, status, records) in [
        ("", in_body, 200, 1),
        ("callback", in_body, 200, 1),
        ("Command", in_body, 200, 1),
        ("what-is-configured", in_body, 200, 1),
        ("callbackAfterQuitGroupCommand", r#"{"groupID":"g1"}"#, 200, 1),
        ("callbackQuitGroupCommand", in_body, 200, 1),
        ("callbackAfterSetGroupMemberInfo", r#"{"groupID":"g1","userID":"u1"}"#, 200, 1),
        ("afterSomethingElseCommand", r#"{"groupID":"g1"}"#, 200, 0),
        ("callbackAfterKickGroupCommand", in_body, 400, 0),
    ] {
        let table = Table::start().await;
        let sent = Sent::post(&format!("/openim/{segment}"), "", body);
        assert_answer(OPENIM, &sent.to(&table.receiver(OPENIM, &[])).await, status, segment);
        assert_eq!(table.records().len(), records, "{segment}");
    }
}

/// Which of two meanings an empty text has, the nulls of other texts tell.
#[tokio::test]
async fn an_empty_text_of_openims_group_information_is_untouched_unless_others_are_null() {
    for (fields, change) in [
        (r#""groupName":"","notification":"","introduction":"","faceURL":"f""#, json!({ "face_url": "f" })),
        (r#""notification":"","introduction":"","ex":null"#, json!({})),
        (r#""notification":null,"introduction":"","faceURL":"""#, json!({ "face_url": "", "introduction": "" })),
        (r#""groupName":"","notification":"","introduction":null"#, json!({ "notification": "" })),
        (r#""notification":"","introduction":"","faceURL":null"#, json!({ "introduction": "", "notification": "" })),
    ] {
        let table = Table::start().await;
        let body = format!(r#"{{"callbackCommand":"callbackAfterSetGroupInfoCommand","groupID":"g1",{fields}}}"#);
        Sent::post("/openim", "", body).to(&table.receiver(OPENIM, &[])).await;
        assert_eq!(table.records()[0]["change"], change, "{fields}");
    }
}

#[tokio::test]
async fn an_id_may_be_an_integer_and_no_other_number() {
    for (id, recorded) in [("15", Some("15")), ("-1", Some("-1")), ("1.5", None), ("true", None)] {
        let table = Table::start().await;
        let body = format!(r#"{{"callbackCommand":"callbackAfterQuitGroupCommand","groupID":{id}}}"#);
        Sent::post("/openim", "", body).to(&table.receiver(OPENIM, &[])).await;
        let records = table.records();
        assert_eq!(records.first().and_then(|record| record["group_id"].as_str()), recorded, "{id}");
    }
}

/// Go writes the number of a group's type as the character of that number where a group is dismissed.
#[tokio::test]
async fn a_groups_type_is_the_same_when_it_is_created_and_dismissed() {
    for (group_type, expected) in
        [("2", "2"), (r#""\u0002""#, "2"), (r#""2""#, "2"), (r#""\u0000""#, "0"), (r#""work""#, "work")]
    {
        for command in ["callbackAfterCreateGroupCommand", "callbackAfterDisMissGroupCommand"] {
            let table = Table::start().await;
            let body = format!(r#"{{"callbackCommand":"{command}","groupID":"g1","groupType":{group_type}}}"#);
            Sent::post("/openim", "", body).to(&table.receiver(OPENIM, &[])).await;
            assert_eq!(table.records()[0]["group_type"], expected, "{command} {group_type}");
        }
    }
}

/// It was never filled, which says nothing of who is in the group; an empty one says that nobody is.
#[tokio::test]
async fn a_null_list_is_left_out_and_an_empty_one_is_not() {
    for (list, is_told) in [("null", false), ("[]", true)] {
        let table = Table::start().await;
        for (command, field) in [
            ("callbackAfterDisMissGroupCommand", "membersID"),
            ("callbackAfterCreateGroupCommand", "initMemberList"),
            ("callbackAfterKickGroupCommand", "kickedUserIDs"),
        ] {
            let body = format!(r#"{{"callbackCommand":"{command}","groupID":"g1","{field}":{list}}}"#);
            Sent::post("/openim", "", body).to(&table.receiver(OPENIM, &[])).await;
        }
        for (command, field, name) in [
            ("Group.CallbackAfterCreateGroup", "MemberList", "members"),
            ("Group.CallbackAfterCreateGroup", "UserDefinedDataList", "custom_fields"),
            ("Group.CallbackAfterGroupAttrChanged", "GroupAttr", "attributes"),
        ] {
            let query = format!("SdkAppid=1400000000&CallbackCommand={command}");
            let body = format!(r#"{{"GroupId":"{name}","{field}":{list}}}"#);
            Sent::post("/tencent-chat", &query, body).to(&table.receiver(TENCENT_CHAT, &[])).await;
        }
        let records = table.records();
        assert_eq!(records.len(), 6);
        for record in records {
            let names = ["members", "custom_fields", "attributes"];
            let is_there = names.iter().any(|name| record["change"].get(name).is_some());
            assert_eq!(is_there, is_told, "{} {list}", record["command"]);
        }
    }
}
