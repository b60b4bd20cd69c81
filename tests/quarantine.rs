//! Genuine and not understood is kept, and taken up again; anything else is not.

use group_ledger::domain::change::Kind;
use group_ledger::domain::quarantine::{Quarantined, Undecoded};
use group_ledger::domain::rejection::Rejection;
use group_ledger::domain::request::Request;
use group_ledger::domain::timestamp::Timestamp;
use group_ledger::ingest::read;
use group_ledger::ingest::reprocess::{Reprocessed, reprocess};
use group_ledger::platform::Registration;
use group_ledger::storage::ledger::Written;
use serde_json::{Value, json};

use crate::support::{
    EXAMPLE_CHAT, OPENIM, Sent, TENCENT_CHAT, TEST_TIMEOUT, Table, all, assert_answer, change, change_with, cli,
    message, platform,
};

const TENCENT: &str = "SdkAppid=1400000000&CallbackCommand=Group.CallbackAfterGroupFull&ClientIP=203.0.113.7";

#[tokio::test]
async fn what_is_genuine_and_not_understood_is_kept() {
    for platform in all() {
        let large = "x".repeat(100_000).into_bytes();
        for (what, body, code) in [
            ("no JSON", b"{".to_vec(), 40001),
            ("no UTF-8", b"{\"GroupId\":\"\xff\"}".to_vec(), 40001),
            ("no group", b"{}".to_vec(), 40004),
            ("compressed", b"x".to_vec(), 41501),
            ("large", large, 40001),
        ] {
            let table = Table::start().await;
            let receiver = table.receiver(platform, &[("RETENTION_DAYS", "1")]);
            for request in ["request-1", "request-2"] {
                let encoding = if what == "compressed" { "gzip" } else { "identity" };
                let sent = change_with(platform, body.clone()).header("Content-Encoding", encoding);
                assert_answer(platform, &sent.request(request).to(&receiver).await, code / 100, what);
            }
            let what = format!("{}: {what}", platform.name);
            assert!(table.records().is_empty(), "{what}");
            let kept = table.quarantined();
            assert_eq!(kept.len(), 2, "{what}: a repetition is kept too");
            let item = &kept[0];
            let app = format!("{}#{}", platform.name, receiver.platform().app_id());
            assert_eq!(item["group_key"], format!("quarantine#{app}#2024-05-07"), "{what}");
            assert_eq!(item["code"], code, "{what}");
            assert!(item["reason"].as_str().unwrap().ends_with('.'), "{what}");
            assert_eq!(item["expires_at"], 1_715_049_601 + 86_400, "{what}");
            let is_text = !what.ends_with("no UTF-8") && !what.ends_with("large");
            assert_eq!(item.get("raw").is_some(), is_text, "{what}");
            assert_eq!(item.get("raw_gzip").is_some(), !is_text, "{what}");
        }
    }
}

#[tokio::test]
async fn a_callback_whose_command_is_not_clear_is_kept() {
    for (query, body, code) in [
        ("SdkAppid=1400000000", "{}", 40002),
        (TENCENT, r#"{"CallbackCommand":"Group.CallbackAfterCreateGroup"}"#, 40003),
    ] {
        let table = Table::start().await;
        let response = Sent::post("/tencent-chat", query, body).to(&table.receiver(TENCENT_CHAT, &[])).await;
        assert_answer(TENCENT_CHAT, &response, 400, body);
        assert_eq!(table.quarantined()[0]["code"], code, "{body}");
    }
}

/// They may be what people say to each other.
#[tokio::test]
async fn messages_are_not_kept() {
    for platform in all() {
        let table = Table::start().await;
        for body in ["{", "{}"] {
            let response = message(platform, body).to(&table.receiver(platform, &[])).await;
            assert_answer(platform, &response, 200, body);
        }
        assert!(table.items().is_empty(), "{}", platform.name);
    }
}

/// One whose name does not begin as the others' do, and one without a row.
#[tokio::test]
async fn whichever_command_of_openim_is_recorded_is_kept() {
    for (command, kept) in [
        ("callbackQuitGroupCommand", 1),
        ("callbackAfterNewThingCommand", 1),
        ("callbackAfterSendGroupMsgCommand", 0),
        ("callbackBeforeCreateGroupCommand", 0),
    ] {
        let table = Table::start().await;
        Sent::post(&format!("/openim/{command}"), "", "{").to(&table.receiver(OPENIM, &[])).await;
        assert_eq!(table.quarantined().len(), kept, "{command}");
    }
}

#[tokio::test]
async fn what_is_not_genuine_is_not_kept() {
    let table = Table::start().await;
    let tencent_chat = table.receiver(TENCENT_CHAT, &[("TENCENT_CALLBACK_TOKENS", "t")]);
    let openim = table.receiver(OPENIM, &[("OPENIM_CREDENTIALS", "u:p")]);
    for (sent, status) in [
        (Sent::post("/tencent-chat", TENCENT, "{"), 403),
        (Sent::post("/tencent-chat", "SdkAppid=1", "{"), 403),
        (Sent::post("/tencent-chat", "", ""), 200),
        (Sent { method: "PUT".into(), ..Sent::post("/tencent-chat", TENCENT, "{") }, 405),
        (Sent::post("/tencent-chat", TENCENT, "x".repeat(1024 * 1024 + 1)), 413),
    ] {
        assert_answer(TENCENT_CHAT, &sent.to(&tencent_chat).await, status, &sent.path);
    }
    assert_answer(OPENIM, &Sent::post("/openim", "", "{").to(&openim).await, 401, "openim");
    assert!(table.items().is_empty());
}

#[tokio::test]
async fn what_a_request_was_signed_by_is_not_kept() {
    let table = Table::start().await;
    let query = format!("{TENCENT}&Sign=hunter2&RequestTime=1715049601");
    Sent::post("/tencent-chat", &query, "{").to(&table.receiver(TENCENT_CHAT, &[])).await;
    let authorized = Sent::post("/openim/hunter2/callbackAfterQuitGroupCommand", "token=hunter2", "{")
        .header("Authorization", "Basic hunter2")
        .header("operationID", "op-1");
    authorized.to(&table.receiver(OPENIM, &[])).await;
    let kept = table.quarantined();
    assert_eq!(kept.len(), 2);
    assert!(!json!(kept).to_string().contains("hunter2"));
    assert_eq!(
        kept.iter().map(|item| item["callback"].clone()).collect::<Vec<_>>(),
        [
            json!({ "command": "callbackAfterQuitGroupCommand", "parameters": { "operationID": "op-1" } }),
            json!({ "command": "Group.CallbackAfterGroupFull", "parameters": { "ClientIP": "203.0.113.7" } }),
        ]
    );
}

async fn run_reprocess(table: &Table) -> String {
    cli::run(&table.settings(&[]), &["reprocess", "--days", "3"], "").await.succeeded()
}

/// Puts a callback into quarantine that the present code understands, as if yesterday's had not.
async fn quarantine(table: &Table, registration: &Registration, sent: &Sent) {
    let event = sent.event();
    let http = crate::support::http(&event);
    let request = Request::of(&http, Timestamp::now());
    let platform = platform(registration, &[]);
    let (callback, _) = read::parse(&*platform, read::verify(&*platform, &request).unwrap().unwrap());
    let reason = Rejection::NO_GROUP_ID.into();
    let undecoded = Undecoded::new(platform.name(), platform.app_id(), reason, callback, None);
    let envelopes: Vec<_> = Quarantined::from(undecoded).into();
    table.receiver(registration, &[]).store().ledger().write(&envelopes, TEST_TIMEOUT).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_understood_by_now_is_recorded_at_its_own_time_and_leaves_quarantine() {
    let table = Table::start().await;
    let yesterday = Timestamp::now().unix_millis() - 86_400_000;
    let at = |sent: Sent| Sent { received_at: yesterday, ..sent };
    let large = format!(
        r#"{{"callbackCommand":"callbackAfterDisMissGroupCommand","groupID":"g2","ownerID":"{}"}}"#,
        "u".repeat(70_000)
    );
    let tencent = at(Sent::post("/tencent-chat", TENCENT, r#"{"GroupId":"g1","EventTime":1715049600123}"#));
    let openim = at(Sent::post("/openim", "", large).header("Operationid", "op-1"));
    let message = at(Sent::post("/openim/callbackAfterSendGroupMsgCommand", "", "{}"));
    let broken = at(Sent::post("/tencent-chat", TENCENT, r#"{"GroupId":{}}"#));
    for (platform, sent) in [(TENCENT_CHAT, &tencent), (TENCENT_CHAT, &broken), (OPENIM, &openim), (OPENIM, &message)] {
        quarantine(&table, platform, sent).await;
    }
    let before = table.items();

    assert_eq!(run_reprocess(&table).await, "2 recorded, 0 recorded before, 1 ignored, 1 stay in quarantine.");
    let records = table.records();
    let yesterday = Timestamp::from_unix_millis(yesterday).unwrap().to_string();
    assert_eq!(
        records.iter().map(|record| record["kind"].as_str().unwrap()).collect::<Vec<_>>(),
        ["group.dismissed", "group.full"]
    );
    assert_eq!([&records[0]["occurred_at"], &records[1]["received_at"]], [&yesterday, &yesterday]);
    assert_eq!(records[1]["occurred_at"], "2024-05-07T02:40:00.123Z");
    assert_eq!(records[0]["source"]["operation_id"], "op-1");
    assert_eq!(table.quarantined().len(), 1);

    // As if it had been stopped between recording and removing.
    for item in &before {
        table.put(item);
    }
    let again = run_reprocess(&table).await;
    assert_eq!(again, "2 recorded, 0 recorded before, 1 ignored, 1 stay in quarantine.");
    assert_eq!(table.records(), records);
    assert_eq!(table.quarantined().len(), 1);
}

/// What decoding needs of the request besides its body is kept too: the record is the one that it would have been at once.
#[tokio::test]
async fn a_callback_of_any_platform_is_reprocessed_to_the_same_record() {
    for platform in all() {
        let headers = |sent: Sent| sent.header("operationID", "op-1").header("X-Example-Tenant", "tenant-1");
        let (understood, broken) = (headers(change(platform)), change_with(platform, "{"));
        let [table, at_once] = [Table::start().await, Table::start().await];
        understood.to(&at_once.receiver(platform, &[])).await;
        for sent in [&understood, &broken] {
            quarantine(&table, platform, sent).await;
        }

        let receiver = table.receiver(platform, &[]);
        let ledger = receiver.store().ledger();
        let group_key = table.quarantined()[0]["group_key"].as_str().unwrap().to_owned();
        let mut became = Vec::new();
        for item in ledger.partition(&group_key, None, 10).await.unwrap().items {
            became.push(reprocess(ledger, receiver.platform(), item, TEST_TIMEOUT).await.unwrap());
        }
        assert_eq!(became.len(), 2);
        for expected in [
            Reprocessed::Recorded(Kind::GroupInfoChanged, Written::Recorded),
            Reprocessed::StillQuarantined(Rejection::NOT_JSON),
        ] {
            assert!(became.contains(&expected), "{}: {became:?}", platform.name);
        }
        assert_eq!(table.quarantined().len(), 1, "{}", platform.name);
        // But for when it was written.
        let [records, expected] = [&table, &at_once].map(|table| {
            let mut records = table.records();
            for record in records.iter_mut().filter_map(Value::as_object_mut) {
                record.retain(|name, _| !name.starts_with("feed_"));
            }
            records
        });
        assert_eq!(records, expected, "{}", platform.name);
        if platform.name == EXAMPLE_CHAT.name {
            assert_eq!(table.records()[0]["source"], json!({ "tenant": "tenant-1" }));
        }
    }
}
