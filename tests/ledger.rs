//! The ledger against an embedded DynamoDB: one record a callback, whatever is repeated, lost or large.

use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use aws_credential_types::credential_fn::provide_credentials_fn;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_credential_types::provider::error::CredentialsError;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use flate2::read::GzDecoder;
use group_ledger::domain::request::Request;
use group_ledger::domain::time_budget::TimeBudget;
use group_ledger::domain::timestamp::Timestamp;
use group_ledger::host::aws::{self, READER_TIMEOUTS};
use group_ledger::ingest::receive::{Receipt, Receiver};
use group_ledger::platform::Registration;
use group_ledger::settings::Settings;
use group_ledger::storage::call::CallError;
use group_ledger::storage::envelope::Envelope;
use group_ledger::storage::ledger::Ledger;
use group_ledger::storage::read::ReadError;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::support::{
    OPENIM, Sent, TENCENT_CHAT, TEST_TIMEOUT, Table, all, assert_answer, change, has_time, local_settings, platform_of,
    random_members, receiver,
};

const QUERY: &str = "SdkAppid=1400000000";

/// What `read` takes from a callback's receipt; it has more time than anything here uses up.
pub(crate) async fn receipt<T>(receiver: &Receiver, sent: &Sent, read: impl FnOnce(&Receipt) -> T) -> T {
    let event = sent.event();
    let http = crate::support::http(&event);
    let request = Request::of(&http, Timestamp::now());
    let budget = TimeBudget::new(Instant::now(), TEST_TIMEOUT, Duration::ZERO, None);
    read(&receiver.receive(&request, &budget).await)
}

/// A callback that carries its time.
fn info_changed() -> Sent {
    change(TENCENT_CHAT)
}

/// A callback that does not.
fn set_group_info_ex() -> Sent {
    change(OPENIM)
}

/// A create callback with the given lists of members and custom fields.
fn create_group(members: &str, custom_fields: &str) -> Sent {
    let body = format!(
        r#"{{"CallbackCommand":"Group.CallbackAfterCreateGroup","GroupId":"g1","EventTime":1715049600123,"MemberList":[{members}],"UserDefinedDataList":[{custom_fields}]}}"#
    );
    Sent::post("/tencent-chat", QUERY, body)
}

/// The records of 50 deliveries of a platform's change at once, each a request of its own.
async fn fifty_at_once(platform: &'static Registration) -> Vec<Value> {
    let table = Table::start().await;
    let receiver = Arc::new(table.receiver(platform, &[]));
    let mut deliveries = JoinSet::new();
    for delivery in 0..50 {
        let receiver = Arc::clone(&receiver);
        deliveries.spawn(async move { change(platform).request(&format!("request-{delivery}")).to(&receiver).await });
    }
    for response in deliveries.join_all().await {
        assert_answer(platform, &response, 200, platform.name);
    }
    table.records()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_deliveries_at_once_of_a_callback_with_a_time_are_one_record() {
    for platform in all().filter(|platform| has_time(platform)) {
        assert_eq!(fifty_at_once(platform).await.len(), 1, "{}", platform.name);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_callbacks_at_once_without_a_time_are_fifty_records_of_one_digest() {
    for platform in all().filter(|platform| !has_time(platform)) {
        let records = fifty_at_once(platform).await;
        assert_eq!(records.len(), 50, "{}", platform.name);
        assert!(records.iter().all(|record| record["digest"] == records[0]["digest"]), "{}", platform.name);
    }
}

#[tokio::test]
async fn a_second_delivery_leaves_the_first_record_as_it_is() {
    let table = Table::start().await;
    let receiver = table.receiver(TENCENT_CHAT, &[]);
    info_changed().to(&receiver).await;
    let first = table.records();
    let second = Sent { received_at: 1_715_049_700_000, ..info_changed() }.request("request-2");
    assert_answer(TENCENT_CHAT, &second.to(&receiver).await, 200, "second delivery");
    assert_eq!(table.records(), first);
}

#[tokio::test]
async fn the_operation_id_header_tells_openim_callbacks_apart() {
    let table = Table::start().await;
    let receiver = table.receiver(OPENIM, &[]);
    for operation_id in ["op-1", "op-2"] {
        set_group_info_ex().header("Operationid", operation_id).to(&receiver).await;
    }
    let records = table.records();
    assert_eq!(records.len(), 2);
    assert_ne!(records[0]["digest"], records[1]["digest"]);
}

#[tokio::test]
async fn a_callback_whose_key_another_one_holds_gets_a_key_of_its_own() {
    let table = Table::start().await;
    let receiver = table.receiver(TENCENT_CHAT, &[]);
    info_changed().to(&receiver).await;
    // The same key, as if another callback's digest began alike.
    let mut other = table.items().remove(0);
    other["digest"] = json!({ "S": "0".repeat(64) });
    table.put(&other);

    for request in ["request-2", "request-3"] {
        assert_answer(TENCENT_CHAT, &info_changed().request(request).to(&receiver).await, 200, request);
    }
    let records = table.records();
    assert_eq!(records.len(), 2, "one of each callback");
    let (time, digest) = (records[1]["occurred_at"].as_str().unwrap(), records[1]["digest"].as_str().unwrap());
    assert_eq!(records[1]["change_key"], format!("{time}#{digest}"));
}

/// A way to `endpoint` on which the first `lost` answers are lost after DynamoDB has done its work.
async fn losing_answers(endpoint: &str, lost: usize) -> String {
    let upstream = endpoint.trim_start_matches("http://").to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answers = Arc::new(AtomicUsize::new(0));
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            let mut server = TcpStream::connect(&upstream).await.unwrap();
            let answers = Arc::clone(&answers);
            tokio::spawn(async move {
                let (mut from, mut to) = (vec![0; 65_536], vec![0; 65_536]);
                loop {
                    tokio::select! {
                        Ok(read) = client.read(&mut from) => {
                            if read == 0 { return }
                            server.write_all(&from[..read]).await.unwrap();
                        }
                        Ok(read) = server.read(&mut to) => {
                            if read == 0 || answers.fetch_add(1, Ordering::SeqCst) < lost { return }
                            client.write_all(&to[..read]).await.unwrap();
                        }
                    }
                }
            });
        }
    });
    format!("http://{address}")
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_is_neither_doubled_nor_called_a_duplicate() {
    for (platform, lost) in all().flat_map(|platform| [(platform, 1), (platform, 2)]) {
        let table = Table::start().await;
        let settings = local_settings(&losing_answers(&table.endpoint, lost).await);
        let receiver = receiver(platform, &settings).unwrap();
        let outcome = receipt(&receiver, &change(platform), |receipt| receipt.outcome.as_str()).await;
        assert_eq!(outcome, "recorded", "{}: {lost} answers lost", platform.name);
        assert_eq!(table.records().len(), 1, "{}: {lost} answers lost", platform.name);
    }
}

/// The log's line and the metrics come from it.
#[tokio::test]
async fn a_receipt_says_what_was_received() {
    let table = Table::start().await;
    let receiver = table.receiver(OPENIM, &[]);
    for (command, body, outcome, kind) in [
        ("callbackAfterQuitGroupCommand", r#"{"groupID":"g1"}"#, "recorded", Some("member.left")),
        ("callbackAfterQuitGroupCommand", r#"{"groupID":{}}"#, "quarantined", None),
        ("callbackAfterSendGroupMsgCommand", "{}", "ignored", None),
    ] {
        let sent = Sent::post(&format!("/openim/{command}"), "", body);
        receipt(&receiver, &sent, |receipt| {
            assert_eq!((receipt.command.as_deref(), receipt.outcome.as_str()), (Some(command), outcome));
            assert_eq!(receipt.kind, kind, "{command}");
        })
        .await;
    }
}

/// A receipt of the change and of what is not understood, with `settings`: their outcomes, whether a fault is told of, and
/// how many envelopes are left for the log.
async fn receipts(table: &Table, settings: &[(&str, &str)]) -> Vec<(String, bool, usize)> {
    let receiver = table.receiver(OPENIM, settings);
    let mut receipts = Vec::new();
    for (body, kind) in [(r#"{"groupID":"g1"}"#, Some("member.left")), ("{", None)] {
        let sent = Sent::post("/openim/callbackAfterQuitGroupCommand", "", body);
        let of = |receipt: &Receipt| {
            for text in &receipt.unstored {
                let envelope = Envelope::from_text(text).unwrap().remove(0);
                assert_eq!((envelope.kind(), text.starts_with("H4sI")), (kind, true), "as a message has it");
            }
            (receipt.outcome.as_str().to_owned(), receipt.fault.is_some(), receipt.unstored.len())
        };
        receipts.push(receipt(&receiver, &sent, of).await);
    }
    receipts
}

#[tokio::test]
async fn where_a_callback_is_kept_is_said() {
    let table = Table::start().await;
    let queues = crate::reliability::queues().await;
    let down = ("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:1");
    let fallback_queue =
        [("AWS_ENDPOINT_URL_SQS", queues.endpoint.as_str()), ("FALLBACK_QUEUE_URL", queues.fallback_queue.as_str())];
    let row = |outcome: &str, fault, unstored| (outcome.to_owned(), fault, unstored);

    let kept = receipts(&table, &fallback_queue).await;
    assert_eq!(kept, [row("recorded", false, 0), row("quarantined", false, 0)]);
    let kept = receipts(&table, &[down, fallback_queue[0], fallback_queue[1]]).await;
    assert_eq!(kept, [row("queued", true, 0), row("quarantined", true, 0)]);
    assert_eq!(queues.depth(&queues.fallback_queue).await.unwrap(), 2);
    let sqs_down = ("AWS_ENDPOINT_URL_SQS", "http://127.0.0.1:1");
    let kept = receipts(&table, &[down, sqs_down, fallback_queue[1]]).await;
    assert_eq!(kept, [row("not_stored", true, 1), row("not_stored", true, 1)]);
    let kept = receipts(&table, &[down]).await;
    assert_eq!(kept, [row("not_stored", true, 1), row("not_stored", true, 1)]);

    assert!(table.receiver(OPENIM, &[fallback_queue[0], fallback_queue[1]]).store().has_fallback_queue());
    assert!(!table.receiver(OPENIM, &[]).store().has_fallback_queue());
}

/// What an alarm on a release watches: a stranger's noise is none of it.
#[tokio::test]
async fn a_rejection_tells_a_known_caller_from_a_stranger() {
    let table = Table::start().await;
    let tencent_chat = table.receiver(TENCENT_CHAT, &[("TENCENT_CALLBACK_TOKENS", "token")]);
    for (query, outcome) in [
        ("SdkAppid=1400000000&Sign=00&RequestTime=1715049601", "rejected_known_caller"),
        ("SdkAppid=1400000000", "rejected_known_caller"),
        ("SdkAppid=1400000001", "rejected"),
        ("Sign=00", "rejected"),
    ] {
        let sent = Sent::post("/tencent-chat", query, "{}");
        assert_eq!(receipt(&tencent_chat, &sent, |receipt| receipt.outcome.as_str()).await, outcome, "{query}");
    }
    let openim = table.receiver(OPENIM, &[("OPENIM_CREDENTIALS", "new:password,old:password")]);
    for (credentials, outcome) in [
        ("new:wrong", "rejected_known_caller"),
        ("old:", "rejected_known_caller"),
        ("old", "rejected_known_caller"),
        ("ne:password", "rejected"),
        (":password", "rejected"),
        ("", "rejected"),
    ] {
        let authorization = format!("Basic {}", BASE64_STANDARD.encode(credentials));
        let sent = Sent::post("/openim", "", "{}").header("authorization", &authorization);
        assert_eq!(receipt(&openim, &sent, |receipt| receipt.outcome.as_str()).await, outcome, "{credentials}");
    }
    // While a password is rotated, one user has two.
    let rotating = table.receiver(OPENIM, &[("OPENIM_CREDENTIALS", "user:new,user:old")]);
    let authorization = format!("Basic {}", BASE64_STANDARD.encode("user:wrong"));
    let sent = Sent::post("/openim", "", "{}").header("authorization", &authorization);
    assert_eq!(receipt(&rotating, &sent, |receipt| receipt.outcome.as_str()).await, "rejected_known_caller");
    let anonymous = Sent::post("/openim", "", "{}");
    assert_eq!(receipt(&openim, &anonymous, |receipt| receipt.outcome.as_str()).await, "rejected");
    // Nothing of these says that a release rejects what it should not.
    let authorization = format!("Basic {}", BASE64_STANDARD.encode("new:password"));
    let large = Sent::post("/openim", "", "x".repeat(1024 * 1024 + 1)).header("authorization", &authorization);
    let get = Sent { method: "GET".into(), ..Sent::post("/tencent-chat", "SdkAppid=1400000000", "") };
    assert_eq!(receipt(&openim, &large, |receipt| receipt.outcome.as_str()).await, "rejected");
    assert_eq!(receipt(&tencent_chat, &get, |receipt| receipt.outcome.as_str()).await, "rejected");
}

#[tokio::test]
async fn a_repetition_is_a_duplicate_where_the_callback_has_a_time() {
    for platform in all() {
        let table = Table::start().await;
        let receiver = table.receiver(platform, &[]);
        let repetition = if has_time(platform) { "duplicate" } else { "recorded" };
        for (request, outcome) in [("request-1", "recorded"), ("request-2", repetition)] {
            let sent = change(platform).request(request);
            assert_eq!(
                receipt(&receiver, &sent, |receipt| receipt.outcome.as_str()).await,
                outcome,
                "{}",
                platform.name
            );
        }
    }
}

#[tokio::test]
async fn what_cannot_be_stored_is_answered_503() {
    let table = Table::start().await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = format!("http://{}", silent.local_addr().unwrap());
    let mut answers = JoinSet::new();
    for (what, name, value) in [
        ("refused connection", "AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:1"),
        ("no answer", "AWS_ENDPOINT_URL_DYNAMODB", silent.as_str()),
        ("no such table", "TABLE_NAME", "another-table"),
    ] {
        for platform in all() {
            let receiver = table.receiver(platform, &[(name, value)]);
            answers.spawn(async move {
                assert_answer(platform, &change(platform).to(&receiver).await, 503, what);
            });
        }
    }
    answers.join_all().await;
    assert!(table.records().is_empty());
}

#[tokio::test]
async fn warming_up_finds_the_table_and_writes_nothing() {
    let table = Table::start().await;
    assert_eq!(table.receiver(OPENIM, &[]).store().ledger().warm_up(TEST_TIMEOUT).await, Ok(()));
    assert!(table.records().is_empty());
    let error = table
        .receiver(OPENIM, &[("TABLE_NAME", "another-table")])
        .store()
        .ledger()
        .warm_up(TEST_TIMEOUT)
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "DynamoDB rejected: ResourceNotFoundException");
}

#[tokio::test]
async fn a_typical_callback_costs_one_write_unit_and_one_of_the_feed() {
    for (name, event) in crate::support::files("events") {
        for (feed, of_the_feed) in [("on", 1.0), ("off", 0.0)] {
            let table = Table::start().await;
            crate::support::handle(&table.receiver(platform_of(&name), &[("FEED", feed)]), &event).await;
            let units = match name.as_str() {
                // The documented page sets every field there is.
                "openim-set-group-info-ex-documented" => 2.0,
                // Its place in the feed takes it just over 1 KB.
                "tencent-chat-create-group" if feed == "on" => 2.0,
                _ => 1.0,
            };
            // Into a table without it: what an index has already costs nothing.
            let taken = Table::start().await.put(&table.items()[0]);
            assert!((taken - units - of_the_feed).abs() < f64::EPSILON, "{name}, feed {feed}: {taken} write units");
        }
    }
}

#[tokio::test]
async fn a_large_body_is_kept_compressed() {
    let member = |number: usize| format!(r#"{{"Member_Account":"u{number:029}"}}"#);
    let members = |count: usize| (0..count).map(member).collect::<Vec<_>>().join(",");
    for (count, is_spelled_out) in [(6_000, true), (19_000, false)] {
        let table = Table::start().await;
        let callback = create_group(&members(count), "");
        assert!(callback.body.len() > 64 * 1024);
        assert_answer(TENCENT_CHAT, &callback.to(&table.receiver(TENCENT_CHAT, &[])).await, 200, "large");
        let record = table.records().remove(0);
        assert!(record.get("raw").is_none());
        assert!(record["raw_gzip"]["bytes"].as_u64().unwrap() > 0);
        let listed = record["change"]["members"].as_array().map(Vec::len);
        assert_eq!(listed, is_spelled_out.then_some(count));
    }
}

/// 1 MiB of ids that do not compress, and of nonsense that is not understood.
#[tokio::test]
async fn a_body_that_no_item_can_hold_is_kept_in_parts() {
    let members = random_members(1_000_000);
    for (callback, status, requests) in [
        // Delivered twice, with a time of its own: one record.
        (create_group(&members, ""), 200, ["request-1", "request-2"]),
        (create_group(&format!("{members},"), ""), 400, ["request-1", "request-1"]),
    ] {
        let table = Table::start().await;
        let receiver = table.receiver(TENCENT_CHAT, &[("RETENTION_DAYS", "1")]);
        for (number, request) in requests.into_iter().enumerate() {
            let received_at =
                1_715_049_601_000 + if status == 200 { 5_000 * i64::try_from(number).unwrap() } else { 0 };
            let callback = Sent { received_at, ..Sent::post("/tencent-chat", QUERY, callback.body.clone()) };
            assert_answer(TENCENT_CHAT, &callback.request(request).to(&receiver).await, status, "in parts");
        }
        let records = if status == 200 { table.records() } else { table.quarantined() };
        let [record] = records.as_slice() else { panic!("{}", records.len()) };
        let parts: Vec<_> = table.items();
        assert_eq!(parts.len() as u64, 1 + record["raw_parts"].as_u64().unwrap(), "no part is left behind");
        let part = |number: u64| {
            let key = format!("{}#{number}", record["raw_key"].as_str().unwrap());
            let item = parts.iter().find(|item| item["group_key"]["S"] == key).unwrap();
            assert_eq!(item["expires_at"]["N"], record["expires_at"].to_string());
            BASE64_STANDARD.decode(item["raw_gzip"]["B"].as_str().unwrap()).unwrap()
        };
        let gzip: Vec<u8> = (0..record["raw_parts"].as_u64().unwrap()).flat_map(part).collect();
        let mut body = Vec::new();
        GzDecoder::new(gzip.as_slice()).read_to_end(&mut body).unwrap();
        assert_eq!(body, callback.body, "every byte is kept");
    }
}

#[tokio::test]
async fn a_body_of_64_kib_is_kept_as_text() {
    for (length, is_text) in [(64 * 1024, true), (64 * 1024 + 1, false)] {
        let table = Table::start().await;
        let mut callback = info_changed();
        callback.body.resize(length, b' ');
        assert_answer(TENCENT_CHAT, &callback.to(&table.receiver(TENCENT_CHAT, &[])).await, 200, "64 KiB");
        assert_eq!(table.records()[0].get("raw").is_some(), is_text, "{length}");
    }
}

#[tokio::test]
async fn a_body_over_1_mib_is_answered_413() {
    let table = Table::start().await;
    for (length, status) in [(1024 * 1024, 200), (1024 * 1024 + 1, 413)] {
        let mut callback = info_changed();
        callback.body.resize(length, b' ');
        assert_answer(TENCENT_CHAT, &callback.to(&table.receiver(TENCENT_CHAT, &[])).await, status, "text");
        // The same limit for a body that API Gateway has encoded; 0xff is no text, and no JSON either.
        callback.body.fill(0xff);
        let status = if status == 200 { 403 } else { status };
        let callback = Sent { query: String::new(), ..callback };
        assert_answer(TENCENT_CHAT, &callback.to(&table.receiver(TENCENT_CHAT, &[])).await, status, "encoded");
    }
}

#[tokio::test]
async fn a_group_id_of_any_length_has_a_key() {
    let table = Table::start().await;
    let receiver = table.receiver(OPENIM, &[]);
    for length in [2034, 2035, 10_000] {
        let id = "g".repeat(length);
        let body = format!(r#"{{"callbackCommand":"callbackAfterSetGroupInfoExCommand","groupID":"{id}"}}"#);
        assert_answer(OPENIM, &Sent::post("/openim", "", body).to(&receiver).await, 200, "long id");
        let records = table.records();
        let record = records.iter().find(|record| record["group_id"] == id).unwrap();
        let key = record["group_key"].as_str().unwrap();
        assert_eq!(key.starts_with("openim#openim#sha256:"), length > 2034, "{length}");
    }
}

#[tokio::test]
async fn values_that_dynamodb_would_reject_are_kept_as_text() {
    let deep = format!("{}1{}", "[".repeat(60), "]".repeat(60));
    let pairs = format!(
        r#"{{"Key":"","Value":"x"}},{{"Key":"huge","Value":1e300}},{{"Key":"tiny","Value":1e-300}},
           {{"Key":"digits","Value":123456789012345678901234567890123456789012}},{{"Key":"deep","Value":{deep}}},
           {{"Key":"{long}","Value":1}},{{"Key":"nul","Value":"a\u0000b"}},{{"Value":1}},1,null"#,
        long = "k".repeat(65_536),
    );
    let table = Table::start().await;
    let callback = create_group(r#"{"Member_Account":""},{"Member_Account":7},{},1"#, &pairs);
    assert_answer(TENCENT_CHAT, &callback.to(&table.receiver(TENCENT_CHAT, &[])).await, 200, "odd values");
    let change = table.records()[0]["change"].take();
    assert_eq!(change["members"], json!(["", "7"]));
    let Value::Object(fields) = &change["custom_fields"] else { panic!("{change}") };
    assert_eq!(fields["huge"], "1e+300");
    assert_eq!(fields["deep"], deep);
    assert_eq!(fields["nul"], "a\0b");
    assert!(fields["digits"].is_number());
    assert_eq!(fields.len(), 5);
}

/// A way to `endpoint` that rejects, as DynamoDB rejects what is no valid item, every put of an item with `attribute`.
async fn rejecting(endpoint: &str, attribute: &str) -> String {
    const ANSWER: &str = r#"{"__type":"com.amazon.coral.validate#ValidationException","message":"no"}"#;
    let (upstream, attribute) = (endpoint.trim_start_matches("http://").to_owned(), format!("\"{attribute}\":"));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            let (upstream, attribute) = (upstream.clone(), attribute.clone());
            tokio::spawn(async move {
                let mut server = TcpStream::connect(&upstream).await.unwrap();
                let mut bytes = vec![0; 65_536];
                while let Ok(read @ 1..) = client.read(&mut bytes).await {
                    if String::from_utf8_lossy(&bytes[..read]).contains(&attribute) {
                        let head = format!("HTTP/1.1 400 Bad Request\r\ncontent-length: {}\r\n\r\n", ANSWER.len());
                        client.write_all(format!("{head}{ANSWER}").as_bytes()).await.unwrap();
                        continue;
                    }
                    server.write_all(&bytes[..read]).await.unwrap();
                    let read = server.read(&mut bytes).await.unwrap();
                    client.write_all(&bytes[..read]).await.unwrap();
                }
            });
        }
    });
    format!("http://{address}")
}

#[tokio::test]
async fn a_change_that_dynamodb_will_not_take_is_left_to_the_raw_body() {
    for (attribute, status) in [("change", 200), ("raw", 503)] {
        let table = Table::start().await;
        let settings = local_settings(&rejecting(&table.endpoint, attribute).await);
        let response = info_changed().to(&receiver(TENCENT_CHAT, &settings).unwrap()).await;
        assert_answer(TENCENT_CHAT, &response, status, attribute);
        let records = table.records();
        assert_eq!(records.len(), usize::from(status == 200));
        assert!(records.iter().all(|record| record.get("change").is_none() && record.get("raw").is_some()));
    }
}

#[tokio::test]
async fn only_a_creation_carries_openims_time() {
    let table = Table::start().await;
    let body = r#"{"callbackCommand":"callbackAfterSetGroupInfoExCommand","groupID":"g1","createTime":1715049600123,
        "groupInfoForSet":{"groupID":"g2","createTime":1715049600123,"groupName":"n"}}"#;
    Sent::post("/openim", "", body).to(&table.receiver(OPENIM, &[])).await;
    let record = table.records().remove(0);
    assert_eq!(record["occurred_at_source"], "receipt");
    assert_eq!([&record["group_id"], &record["change"]["name"]], ["g1", "n"]);
}

#[tokio::test]
async fn openims_group_id_is_found_wherever_it_is() {
    for body in [
        r#"{"groupID":null,"groupInfoForSet":{"groupID":"g1"}}"#,
        r#"{"groupID":"","groupInfoForSetEX":{"groupID":"g1"}}"#,
        r#"{"groupID":{"value":"g1"}}"#,
        r#"{"groupInfoForSet":{"groupID":{"value":"g1"}}}"#,
    ] {
        let table = Table::start().await;
        let path = "/openim/callbackAfterSetGroupInfoExCommand";
        let response = Sent::post(path, "", body).to(&table.receiver(OPENIM, &[])).await;
        assert_answer(OPENIM, &response, 200, body);
        assert_eq!(table.records()[0]["group_id"], "g1", "{body}");
    }
}

#[tokio::test]
async fn the_replay_says_which_messages_are_to_be_put_back() {
    use group_ledger::host::lambda::replay;
    use group_ledger::host::setup;
    use group_ledger::settings::Settings;

    let table = Table::start().await;
    let settings = table.settings(&[]);
    let ledger = setup::ledger(&Settings::new(&|name| settings.get(name).cloned())).unwrap();
    let batch = || {
        let sample = crate::reliability::sample();
        let messages = [("first", sample.as_str()), ("again", &sample), ("bad", "nonsense")];
        let messages = messages.map(|(id, body)| json!({ "messageId": id, "body": body }));
        serde_json::from_value(json!({ "Records": messages })).unwrap()
    };
    for (time_left, put_back) in [(None, &["bad"][..]), (Some(Duration::ZERO), &["first", "again", "bad"][..])] {
        let failures = replay::replay(&ledger, batch(), time_left).await.batch_item_failures;
        let failures: Vec<_> = failures.iter().map(|failure| failure.item_identifier.as_str()).collect();
        assert_eq!(failures, put_back, "{time_left:?}");
        assert_eq!(table.records().len(), 1);
    }
}

/// A role that is gone is no network that is down.
#[tokio::test]
async fn missing_credentials_are_told_from_a_network_that_is_down() {
    let settings = local_settings("http://127.0.0.1:1");
    let look = |name: &str| settings.get(name).cloned();
    let settings = Settings::new(&look);
    let config = aws::config(&settings, READER_TIMEOUTS).unwrap();
    let none = provide_credentials_fn(async || Err(CredentialsError::not_loaded("none here")));
    let without = config.to_builder().credentials_provider(SharedCredentialsProvider::new(none)).build();
    for (config, expected) in [(config, CallError::Unreachable), (without, CallError::NoCredentials)] {
        let ledger = Ledger::from_settings(&settings, &config).unwrap();
        let Err(ReadError::Call(error)) = ledger.get("group", "change").await else { panic!("no error") };
        assert_eq!(error, expected);
    }
}

/// A record has the group's id and an unknown command, each of which may be as large as the body. The body is kept all the same.
#[tokio::test]
async fn what_no_record_can_hold_is_kept_in_quarantine() {
    let queues = crate::reliability::queues().await;
    let down = [
        ("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:1"),
        ("AWS_ENDPOINT_URL_SQS", queues.endpoint.as_str()),
        ("FALLBACK_QUEUE_URL", queues.fallback_queue.as_str()),
    ];
    let table = Table::start().await;
    let long = "g".repeat(450_000);
    for (count, (command, group)) in
        [("callbackAfterQuitGroupCommand", long.as_str()), (&format!("callbackAfter{long}"), "g")]
            .into_iter()
            .enumerate()
    {
        let body = json!({ "callbackCommand": command, "groupID": group }).to_string();
        for settings in [&[][..], &down[..]] {
            let callback = Sent::post("/openim", "", body.clone());
            assert_answer(OPENIM, &callback.to(&table.receiver(OPENIM, settings)).await, 413, "long");
        }
        assert_eq!(table.items().len(), count + 1);
        assert!(table.quarantined().iter().all(|item| item["code"] == 41301));
        assert_eq!(queues.depth(&queues.fallback_queue).await.unwrap(), u32::try_from(count).unwrap() + 1);
    }

    // A large body goes whole as long as an item holds it, and in parts where none does.
    for (bytes, messages) in [(400_000, 1), (1_000_000, 3)] {
        let before = queues.depth(&queues.fallback_queue).await.unwrap();
        let callback = create_group(&random_members(bytes), "");
        assert_answer(TENCENT_CHAT, &callback.to(&table.receiver(TENCENT_CHAT, &down)).await, 200, "large");
        assert_eq!(queues.depth(&queues.fallback_queue).await.unwrap() - before, messages, "{bytes}");
    }
}

/// Compressed, up to what DynamoDB takes.
#[tokio::test]
async fn a_body_is_in_one_item_as_long_as_dynamodb_takes_it() {
    for (bytes, is_whole) in [(600_000, true), (800_000, false)] {
        let table = Table::start().await;
        let callback = create_group(&random_members(bytes), "");
        assert_answer(TENCENT_CHAT, &callback.to(&table.receiver(TENCENT_CHAT, &[])).await, 200, "large");
        let record = table.records().remove(0);
        assert_eq!((record.get("raw_gzip").is_some(), record.get("raw_parts").is_none()), (is_whole, is_whole));
    }
}

/// Two events in one millisecond, without a time of their own.
#[tokio::test]
async fn records_of_one_body_and_time_have_parts_of_their_own() {
    let body = format!(
        r#"{{"callbackCommand":"callbackAfterKickGroupCommand","groupID":"g1","kickedUserIDs":[{}]}}"#,
        random_members(1_000_000)
    );
    let table = Table::start().await;
    let receiver = table.receiver(OPENIM, &[]);
    for request in ["request-1", "request-2"] {
        let callback = Sent::post("/openim", "", body.clone()).request(request);
        assert_answer(OPENIM, &callback.to(&receiver).await, 200, request);
    }
    let records = table.records();
    assert_eq!(records.len(), 2);
    assert_ne!(records[0]["raw_key"], records[1]["raw_key"]);
    let parts: u64 = records.iter().map(|record| record["raw_parts"].as_u64().unwrap()).sum();
    assert_eq!(table.items().len() as u64, 2 + parts);
}

#[tokio::test]
async fn the_fallback_queue_takes_no_text_that_is_too_long_for_a_message() {
    use group_ledger::host::aws::{FUNCTION_TIMEOUTS, config};
    use group_ledger::settings::Settings;
    use group_ledger::storage::envelope::MAX_TEXT_BYTES;
    use group_ledger::storage::fallback_queue::{FallbackQueue, FallbackQueueError};

    let queues = crate::reliability::queues().await;
    let mut settings = local_settings("http://127.0.0.1:1");
    settings.insert("FALLBACK_QUEUE_URL".to_owned(), queues.fallback_queue.clone());
    settings.insert("AWS_ENDPOINT_URL_SQS".to_owned(), queues.endpoint.clone());
    let lookup = |name: &str| settings.get(name).cloned();
    let settings = Settings::new(&lookup);
    let fallback_queue =
        FallbackQueue::from_settings(&settings, &config(&settings, FUNCTION_TIMEOUTS).unwrap()).unwrap().unwrap();
    let texts = |bytes| ["x".repeat(10), "x".repeat(bytes)];
    assert_eq!(fallback_queue.send(&texts(MAX_TEXT_BYTES + 1), TEST_TIMEOUT).await, Err(FallbackQueueError::TooLarge));
    assert_eq!(
        queues.depth(fallback_queue.queue().url()).await.unwrap(),
        0,
        "nothing is sent of what is not sent whole"
    );
    assert_eq!(fallback_queue.send(&texts(MAX_TEXT_BYTES), TEST_TIMEOUT).await, Ok(()));
    assert_eq!(queues.depth(fallback_queue.queue().url()).await.unwrap(), 2);
    let received =
        fallback_queue.queue().client().receive_message().queue_url(fallback_queue.queue().url()).send().await.unwrap();
    assert!(received.messages.unwrap()[0].body.as_ref().unwrap().starts_with('x'));
}

#[tokio::test]
async fn a_ledgers_client_reaches_its_table() {
    let table = Table::start().await;
    let receiver = table.receiver(OPENIM, &[]);
    let ledger = receiver.store().ledger();
    assert_eq!(ledger.table(), crate::support::TABLE);
    assert!(ledger.client().describe_table().table_name(ledger.table()).send().await.is_ok());
}
