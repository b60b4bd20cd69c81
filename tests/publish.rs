//! Publishing: each record reaches the bus at least once, in its group's order at the call, whatever fails on the way; and what
//! cannot reach it is told of.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::net::Ipv4Addr;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use group_ledger::domain::timestamp::Timestamp;
use group_ledger::host::setup;
use group_ledger::publish::dead_letters::DeadLetter;
use group_ledger::publish::event::MAX_REQUEST_BYTES;
use group_ledger::publish::publisher::Publisher;
use group_ledger::settings::Settings;
use insta::assert_snapshot;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::time::{sleep, timeout};

use crate::bus::{self, LocalBus};
use crate::queue::Queues;
use crate::reliability::queues;
use crate::stream_source::StreamSource;
use crate::support::bus::{BUS_ARN, Reply, TestBus};
use crate::support::cli::{Ended, command, run};
use crate::support::cloudformation::PYTHON;
use crate::support::lambda::Function;
use crate::support::{OPENIM, Sent, TENCENT_CHAT, TEST_TIMEOUT, Table, local_settings, random_members};
use crate::template::Template;

/// What Lambda gives the publisher, as the template says.
const TIME_LEFT: Duration = Duration::from_mins(1);

/// A table with its stream, a bus, and a queue of dead letters.
struct World {
    table: Table,
    stream: StreamSource,
    bus: TestBus,
    queues: Queues,
}

impl World {
    async fn start(plan: impl FnMut(&[Value]) -> Reply + Send + 'static) -> Self {
        let (table, stream) = Table::with_stream().await;
        Self { table, stream, bus: TestBus::start(plan).await, queues: queues().await }
    }

    fn settings(&self) -> BTreeMap<String, String> {
        self.table.settings(&[
            ("EVENT_BUS_ARN", BUS_ARN),
            ("AWS_ENDPOINT_URL_EVENTBRIDGE", &self.bus.endpoint),
            ("AWS_ENDPOINT_URL_SQS", &self.queues.endpoint),
            ("PUBLISHER_DEAD_LETTER_QUEUE_URL", &self.queues.dead_letters),
        ])
    }

    /// The publisher in this process.
    fn publisher(&self) -> Publisher {
        publisher(&self.settings())
    }

    /// Takes the stream through a publisher until all is done.
    async fn publish(&mut self) {
        let publisher = self.publisher();
        let start = Instant::now();
        while !self.stream.is_done().unwrap() {
            self.stream.poll(|event| invoke(&publisher, event, Duration::from_secs(10))).await.unwrap();
            assert!(start.elapsed() < TEST_TIMEOUT, "the publisher does not end");
        }
    }

    /// The dead letters, taken out of their queue.
    async fn dead_letters(&self) -> Vec<DeadLetter> {
        let mut letters = Vec::new();
        loop {
            let receive = self.queues.client.receive_message().queue_url(&self.queues.dead_letters);
            let messages = receive.max_number_of_messages(10).send().await.unwrap().messages.unwrap_or_default();
            if messages.is_empty() {
                return letters;
            }
            for message in messages {
                letters.push(serde_json::from_str(message.body().unwrap()).unwrap());
                let delete = self.queues.client.delete_message().queue_url(&self.queues.dead_letters);
                delete.set_receipt_handle(message.receipt_handle).send().await.unwrap();
            }
        }
    }
}

fn publisher(settings: &BTreeMap<String, String>) -> Publisher {
    setup::publisher(&Settings::new(&|name| settings.get(name).cloned())).unwrap()
}

/// A publisher's answer to an event.
async fn invoke(publisher: &Publisher, event: String, within: Duration) -> anyhow::Result<String> {
    let answer = publisher.publish(serde_json::from_str(&event)?, within).await;
    Ok(serde_json::to_string(&answer)?)
}

/// The item of a record of a group, under a key of its own.
fn item(group: &str, number: usize, recorded_at: Timestamp) -> Value {
    json!({
        "group_key": { "S": format!("openim#openim#{group}") },
        "change_key": { "S": format!("2024-05-07T02:40:01.000Z#{number:016}") },
        "platform": { "S": "openim" },
        "app_id": { "S": "openim" },
        "group_id": { "S": group },
        "kind": { "S": "group.info_changed" },
        "command": { "S": "callbackAfterSetGroupInfoExCommand" },
        "occurred_at": { "S": "2024-05-07T02:40:01.000Z" },
        "occurred_at_source": { "S": "receipt" },
        "received_at": { "S": "2024-05-07T02:40:01.000Z" },
        "change": { "M": { "name": { "S": format!("name {number}") }, "number": { "N": number.to_string() } } },
        "raw": { "S": "{}" },
        "digest": { "S": format!("{number:064}") },
        "feed_key": { "S": format!("{}#{}", recorded_at.date(), number % 8) },
        "feed_at": { "S": format!("{recorded_at}#{number:016}#r") },
    })
}

/// Puts records of a few groups in turn.
fn put(table: &Table, groups: usize, records: usize) {
    for number in 0..records {
        table.put(&item(&format!("g{}", number % groups), number, Timestamp::now()));
    }
}

/// A detail's keys.
fn key(detail: &Value) -> (String, String) {
    let text = |name: &str| detail[name].as_str().unwrap().to_owned();
    (text("group_key"), text("change_key"))
}

/// Holds that each group's records came in their order: a double may come again, and nothing before what precedes it.
fn assert_order(details: &[Value]) {
    let (mut seen, mut last) = (BTreeSet::new(), HashMap::<String, String>::new());
    for (group, change) in details.iter().map(key) {
        if seen.insert((group.clone(), change.clone())) {
            let before = last.insert(group.clone(), change.clone());
            assert!(before.is_none_or(|before| before < change), "{group}: {change} came too late");
        }
    }
}

/// The keys of a table's records.
fn recorded(table: &Table) -> BTreeSet<(String, String)> {
    table.records().iter().map(key).collect()
}

#[tokio::test]
async fn a_change_is_an_event() {
    let mut world = World::start(Reply::accept).await;
    let receiver = world.table.receiver(TENCENT_CHAT, &[]);
    let body = r#"{"CallbackCommand":"Group.CallbackAfterGroupInfoChanged","GroupId":"@TGS#2J4SZEAEL","Type":"Public",
        "Operator_Account":"leckie","Name":"Trail runners","EventTime":1670574414123}"#;
    Sent::post("/tencent-chat", "SdkAppid=1400000000", body).to(&receiver).await;
    world.publish().await;
    let mut entry = world.bus.accepted().remove(0);
    let mut detail: Value = serde_json::from_str(entry["Detail"].as_str().unwrap()).unwrap();
    // As the reader's API tells it.
    let recorded_at = detail["recorded_at"].take();
    assert!(recorded_at.as_str().unwrap().parse::<Timestamp>().is_ok());
    detail["recorded_at"] = "[when it was written]".into();
    entry["Detail"] = detail;
    assert_snapshot!(serde_json::to_string_pretty(&entry).unwrap(), @r#"
    {
      "Detail": {
        "app_id": "1400000000",
        "change": {
          "name": "Trail runners"
        },
        "change_key": "2022-12-09T08:26:54.123Z#8bcc23fe0c40e376",
        "command": "Group.CallbackAfterGroupInfoChanged",
        "digest": "8bcc23fe0c40e376a169ff5867f2d92ae771f89eef2ef1897eb59e0cc0e2f204",
        "group_id": "@TGS#2J4SZEAEL",
        "group_key": "tencent-chat#1400000000#@TGS#2J4SZEAEL",
        "group_type": "Public",
        "kind": "group.info_changed",
        "occurred_at": "2022-12-09T08:26:54.123Z",
        "occurred_at_source": "callback",
        "operator": "leckie",
        "platform": "tencent-chat",
        "received_at": "2024-05-07T02:40:01.000Z",
        "recorded_at": "[when it was written]",
        "request_id": "request-1"
      },
      "DetailType": "group.info_changed",
      "EventBusName": "arn:aws:events:us-east-1:000000000000:event-bus/groups",
      "Resources": [
        "tencent-chat#1400000000#@TGS#2J4SZEAEL"
      ],
      "Source": "group-ledger",
      "Time": 1670574414
    }
    "#);
}

#[tokio::test]
async fn an_event_of_the_streams_real_form_is_published() {
    let world = World::start(Reply::accept).await;
    let event = fs::read_to_string("tests/publish/stream-event.json").unwrap();
    let function = Function::start("publisher", &world.settings()).await;
    let answer = function.invoke(event, TIME_LEFT).await;
    assert_eq!(answer.body.as_deref(), Some(r#"{"batchItemFailures":[]}"#));
    let log = function.kill().await;
    assert!(log.contains(r#""message":"publish""#) && log.contains(r#""published":1"#), "{log}");
    assert!(!log.contains("Trail runners") && !log.contains("2J4SZEAEL"), "{log}");
    let details = world.bus.details();
    assert_eq!((details.len(), &details[0]["change"]["quota"]), (1, &json!(9_007_199_254_740_991_i64)));
    assert!(world.bus.accepted()[0]["Detail"].as_str().unwrap().contains("\"price\":1.10"), "digits are lost");
}

#[tokio::test]
async fn only_records_are_published() {
    let mut world = World::start(Reply::accept).await;
    let receiver = world.table.receiver(OPENIM, &[]);
    for body in [
        r#"{"callbackCommand":"callbackAfterQuitGroupCommand","groupID":"g1","quitUserID":"u1"}"#.to_owned(),
        "{".to_owned(),
    ] {
        Sent::post("/openim", "", body).to(&receiver).await;
    }
    let large = format!(
        r#"{{"CallbackCommand":"Group.CallbackAfterCreateGroup","GroupId":"large","MemberList":[{}]}}"#,
        random_members(900_000)
    );
    let tencent = world.table.receiver(TENCENT_CHAT, &[]);
    Sent::post("/tencent-chat", "SdkAppid=1400000000", large).to(&tencent).await;
    assert!(world.table.items().len() > 3, "nothing is in parts");
    // What is deleted is no news.
    for item in world.table.items().iter().filter(|item| item["group_id"]["S"] == "g1") {
        let name = |name: &str| (name.to_owned(), item[name].clone());
        world.table.delete(&[name("group_key"), name("change_key")].into_iter().collect());
    }
    world.publish().await;
    let details = world.bus.details();
    let groups: Vec<_> = details.iter().map(|detail| detail["group_id"].as_str().unwrap()).collect();
    assert_eq!(groups, ["g1", "large"]);
    // Decoded again from the parts of its body.
    assert!(details[1]["change"]["members"].as_array().unwrap().len() > 10_000);
    assert_eq!(world.dead_letters().await, []);
}

/// Beyond the filter, which a later version may change.
#[tokio::test]
async fn what_is_no_record_is_passed_over() {
    let world = World::start(Reply::accept).await;
    let part = json!({ "eventName": "INSERT", "dynamodb": { "SequenceNumber": "1", "NewImage": { "raw_gzip": { "B": "AA==" } } } });
    let removed = json!({ "eventName": "REMOVE", "dynamodb": { "SequenceNumber": "2" } });
    let event = json!({ "Records": [part, removed] }).to_string();
    let answer = invoke(&world.publisher(), event, TIME_LEFT).await.unwrap();
    assert_eq!(answer, r#"{"batchItemFailures":[]}"#);
    assert_eq!((world.bus.requests(), world.dead_letters().await), (vec![], vec![]));
    let answer = invoke(&world.publisher(), "{}".to_owned(), TIME_LEFT).await.unwrap();
    assert_eq!(answer, r#"{"batchItemFailures":[{"itemIdentifier":""}]}"#, "the whole batch");
}

#[tokio::test]
async fn groups_share_requests_and_a_group_does_not() {
    let mut world = World::start(Reply::accept).await;
    put(&world.table, 20, 40);
    world.publish().await;
    assert_eq!(world.bus.requests(), [10, 10, 10, 10]);
    for number in 0..3 {
        world.table.put(&item("alone", number, Timestamp::now()));
    }
    world.publish().await;
    assert_eq!(world.bus.requests()[4..], [1, 1, 1]);
    assert_order(&world.bus.details());
}

#[tokio::test]
async fn a_request_has_at_most_what_eventbridge_takes() {
    let largest = Arc::new(Mutex::new(0));
    let seen = Arc::clone(&largest);
    let mut world = World::start(move |entries| {
        let bytes = entries.iter().map(|entry| entry["Detail"].as_str().unwrap().len()).sum();
        let mut largest = seen.lock().unwrap();
        *largest = (*largest).max(bytes);
        Reply::accept(entries)
    })
    .await;
    for number in 0..9 {
        let mut item = item(&format!("g{number}"), number, Timestamp::now());
        item["change"]["M"]["name"]["S"] = "n".repeat(300_000).into();
        world.table.put(&item);
    }
    world.publish().await;
    assert_eq!(world.bus.requests(), [3, 3, 3]);
    assert!((900_000..MAX_REQUEST_BYTES).contains(&largest.lock().unwrap()));
}

/// Codes of an entry that may succeed later, each refused a few times.
#[tokio::test]
async fn after_a_refused_entry_none_of_its_group_overtakes_it() {
    for code in ["InternalFailure", "ThrottlingException", "NeverHeardOf"] {
        let mut left = 4;
        let mut world = World::start(move |entries| {
            let is_refused = |entry: &Value| entry["Detail"].as_str().unwrap().contains("name 3\"");
            let mut refuse = |entry: &Value| {
                (is_refused(entry) && left > 0).then(|| {
                    left -= 1;
                    code
                })
            };
            Reply::Each(entries.iter().map(&mut refuse).collect())
        })
        .await;
        put(&world.table, 5, 40);
        world.publish().await;
        let details = world.bus.details();
        assert_order(&details);
        // Tried again at once: no double.
        assert_eq!((details.len(), world.dead_letters().await), (40, vec![]), "{code}");
    }
}

/// Faults of a whole request, each for longer than an invocation.
#[tokio::test]
async fn a_bus_that_fails_is_told_of_by_the_first_record_that_is_not_done() {
    for reply in [
        Reply::Status(500, "InternalException"),
        Reply::Status(503, "ServiceUnavailable"),
        Reply::Status(400, "ThrottlingException"),
        Reply::Status(400, "ResourceNotFoundException"),
        Reply::Status(403, "AccessDeniedException"),
        Reply::Garbage,
        Reply::Short,
        Reply::Hang,
        Reply::LostAnswer,
    ] {
        let told = reply.clone();
        let is_well = Arc::new(Mutex::new(true));
        let now = Arc::clone(&is_well);
        let mut world = World::start(move |entries| {
            // The first request is well.
            let was_well = std::mem::replace(&mut *now.lock().unwrap(), false);
            if was_well { Reply::accept(entries) } else { reply.clone() }
        })
        .await;
        put(&world.table, 20, 20);
        let publisher = world.publisher();
        let start = Instant::now();
        let done = world.stream.poll(|event| invoke(&publisher, event, Duration::from_millis(500))).await.unwrap();
        assert!(start.elapsed() < Duration::from_secs(5), "{told:?} outlasts the function");
        assert_eq!(done, 10, "{told:?}");
        assert_eq!(world.dead_letters().await, [], "{told:?}");
        // Well again for one request.
        *is_well.lock().unwrap() = true;
        world.publish_for(Duration::from_secs(2)).await;
        let sent: BTreeSet<_> = world.bus.details().iter().map(key).collect();
        assert_eq!(sent, recorded(&world.table), "{told:?}");
        assert_order(&world.bus.details());
    }
}

impl World {
    /// Hands over one more batch.
    async fn publish_for(&mut self, within: Duration) {
        let publisher = self.publisher();
        assert_eq!(self.stream.poll(|event| invoke(&publisher, event, within)).await.unwrap(), 10);
    }
}

#[tokio::test]
async fn a_rejected_event_goes_without_its_change_and_the_rest_goes_on() {
    for code in ["MalformedDetail", "InvalidArgument"] {
        let mut world = World::start(move |entries| {
            let is_rejected = |entry: &Value| entry["Detail"].as_str().unwrap().contains("name 3\"");
            Reply::Each(entries.iter().map(|entry| is_rejected(entry).then_some(code)).collect())
        })
        .await;
        put(&world.table, 5, 20);
        world.publish().await;
        let details = world.bus.details();
        assert_order(&details);
        let reduced: Vec<_> = details.iter().filter(|detail| detail["change"].is_null()).collect();
        assert_eq!((details.len(), reduced.len()), (20, 1), "{code}");
        assert_eq!(reduced[0]["change_omitted"], "rejected");
        assert_eq!(reduced[0]["change_key"], "2024-05-07T02:40:01.000Z#0000000000000003");
    }
}

#[tokio::test]
async fn what_is_rejected_without_its_change_too_is_a_dead_letter() {
    let mut world = World::start(|entries| {
        let is_rejected = |entry: &Value| entry["Detail"].as_str().unwrap().contains("#0000000000000003\"");
        Reply::Each(entries.iter().map(|entry| is_rejected(entry).then_some("InvalidArgument")).collect())
    })
    .await;
    put(&world.table, 5, 20);
    world.publish().await;
    assert_eq!(world.bus.details().len(), 19);
    assert_order(&world.bus.details());
    let [letter] = <[DeadLetter; 1]>::try_from(world.dead_letters().await).unwrap();
    assert_eq!(letter.group_key.as_deref(), Some("openim#openim#g3"));
    assert_eq!(letter.change_key.as_deref(), Some("2024-05-07T02:40:01.000Z#0000000000000003"));
    assert!(letter.sequence_number.is_some_and(|number| number.len() > 20));
    assert_eq!(letter.reason, "InvalidArgument");
}

/// Without its change it would be rejected all the same.
#[tokio::test]
async fn what_is_denied_is_a_dead_letter_at_once() {
    let code = "NotAuthorizedForDetailTypeException";
    let mut world = World::start(move |entries| Reply::Each(vec![Some(code); entries.len()])).await;
    put(&world.table, 5, 20);
    world.publish().await;
    assert_eq!(world.bus.requests().iter().sum::<usize>(), 20, "each once");
    let reasons: Vec<_> = world.dead_letters().await.into_iter().map(|letter| letter.reason).collect();
    assert_eq!(reasons, [code].repeat(20));
}

/// A request that is rejected for one of its events, as a whole.
#[tokio::test]
async fn a_rejected_request_is_sent_one_by_one() {
    let mut world = World::start(|entries| {
        let is_rejected = entries.iter().any(|entry| entry["Detail"].as_str().unwrap().contains("name 3\""));
        if is_rejected { Reply::Status(400, "ValidationException") } else { Reply::accept(entries) }
    })
    .await;
    put(&world.table, 5, 20);
    world.publish().await;
    let details = world.bus.details();
    let omitted: Vec<_> = details.iter().filter(|detail| !detail["change_omitted"].is_null()).collect();
    assert_eq!((details.len(), omitted.len()), (20, 1));
    assert_order(&details);
    assert_eq!(world.dead_letters().await, []);
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_a_dead_letter_and_holds_up_nothing() {
    let mut world = World::start(Reply::accept).await;
    put(&world.table, 2, 4);
    let mut poisoned = item("g1", 5, Timestamp::now());
    poisoned["occurred_at"]["S"] = "yesterday".into();
    world.table.put(&poisoned);
    let mut without_platform = item("g1", 6, Timestamp::now());
    without_platform.as_object_mut().unwrap().remove("platform");
    world.table.put(&without_platform);
    world.table.put(&item("g1", 7, Timestamp::now()));
    world.publish().await;
    assert_eq!(world.bus.details().len(), 5);
    let letters = world.dead_letters().await;
    let keys: Vec<_> = letters.iter().map(|letter| letter.change_key.as_deref().unwrap()).collect();
    assert_eq!(keys, [5, 6].map(|number| format!("2024-05-07T02:40:01.000Z#{number:016}")));
    assert!(letters.iter().all(|letter| letter.reason == "the item is not a record of the ledger"));
}

#[tokio::test]
async fn without_its_dead_letter_queue_it_loses_nothing() {
    let mut world = World::start(Reply::accept).await;
    put(&world.table, 1, 1);
    let mut poisoned = item("g0", 1, Timestamp::now());
    poisoned["occurred_at"]["S"] = "yesterday".into();
    world.table.put(&poisoned);
    world.table.put(&item("g0", 2, Timestamp::now()));
    let mut settings = world.settings();
    settings.insert("AWS_ENDPOINT_URL_SQS".to_owned(), "http://127.0.0.1:1".to_owned());
    let without = publisher(&settings);
    let done = world.stream.poll(|event| invoke(&without, event, Duration::from_secs(1))).await.unwrap();
    assert_eq!((done, world.bus.details().len()), (1, 1));
    world.publish().await;
    assert_eq!((world.bus.details().len(), world.dead_letters().await.len()), (2, 1));
}

#[tokio::test]
async fn a_body_in_parts_that_cannot_be_read_now_is_read_later() {
    let mut world = World::start(Reply::accept).await;
    put(&world.table, 1, 1);
    let large = format!(
        r#"{{"CallbackCommand":"Group.CallbackAfterCreateGroup","GroupId":"large","MemberList":[{}]}}"#,
        random_members(900_000)
    );
    let tencent = world.table.receiver(TENCENT_CHAT, &[]);
    Sent::post("/tencent-chat", "SdkAppid=1400000000", large).to(&tencent).await;
    // What was read before it is published all the same: by one that does not answer for as long as there is, and by one that is not
    // there.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    for (endpoint, published) in
        [(format!("http://{}", silent.local_addr().unwrap()), 1), ("http://127.0.0.1:1".to_owned(), 0)]
    {
        let mut settings = world.settings();
        settings.insert("AWS_ENDPOINT_URL_DYNAMODB".to_owned(), endpoint);
        let without = publisher(&settings);
        let done = world.stream.poll(|event| invoke(&without, event, Duration::from_secs(1))).await.unwrap();
        assert_eq!((done, world.dead_letters().await.len()), (published, 0));
        assert_eq!(world.bus.details().len(), 1);
    }
    world.publish().await;
    assert!(world.bus.details()[1]["change"]["members"].as_array().unwrap().len() > 10_000);
}

#[test]
fn a_setting_that_is_missing_or_wrong_stops_the_start() {
    for (name, value) in [
        ("EVENT_BUS_ARN", ""),
        ("EVENT_BUS_ARN", "groups"),
        ("EVENT_BUS_ARN", "arn:aws:sqs:us-east-1:000000000000:queue"),
        ("PUBLISHER_DEAD_LETTER_QUEUE_URL", ""),
        ("PUBLISHER_DEAD_LETTER_QUEUE_URL", "queue"),
        ("TABLE_NAME", ""),
    ] {
        let mut settings = local_settings("http://127.0.0.1:1");
        settings.insert("EVENT_BUS_ARN".to_owned(), BUS_ARN.to_owned());
        settings.insert("PUBLISHER_DEAD_LETTER_QUEUE_URL".to_owned(), "http://127.0.0.1:1/queue".to_owned());
        assert!(setup::publisher(&Settings::new(&|name| settings.get(name).cloned())).is_ok());
        settings.insert(name.to_owned(), value.to_owned());
        let error = setup::publisher(&Settings::new(&|name| settings.get(name).cloned())).unwrap_err();
        assert!(error.to_string().starts_with(name), "{name}={value}: {error}");
    }
}

/// The filter of the template, by EventBridge's patterns as an emulator reads them.
#[tokio::test]
async fn the_templates_filter_lets_new_records_through_and_nothing_else() {
    let pattern = Template::read().unwrap().stream().unwrap().filter;
    let pattern = rustack_events_core::pattern::parse_event_pattern(&pattern).unwrap();
    let passes = |event: Value| rustack_events_core::pattern::matches(&pattern, &event);
    let record = |name: &str, image: Value| json!({ "eventName": name, "dynamodb": { "NewImage": image } });
    let kind = json!({ "kind": { "S": "group.full" } });
    assert!(passes(record("INSERT", kind.clone())));
    assert!(!passes(record("MODIFY", kind.clone())) && !passes(record("REMOVE", kind)));
    assert!(!passes(record("INSERT", json!({ "raw_gzip": { "B": "AA==" } }))));
    assert!(!passes(json!({ "eventName": "REMOVE", "dynamodb": { "Keys": {} } })));
}

/// The consumer of the documentation, with the SDK that it has on Lambda and an embedded DynamoDB.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_documented_consumer_handles_each_change_once_and_in_order() {
    let mut world = World::start(Reply::accept).await;
    put(&world.table, 2, 6);
    world.publish().await;
    let events: Vec<Value> = world.bus.accepted().iter().map(as_handed_on).collect();
    // Doubled and shuffled; what is oldest comes a batch later.
    let (late, rest) = events.split_at(1);
    let shuffled: Vec<&Value> = rest.iter().rev().chain(rest).collect();
    let batches = json!([shuffled, late, rest]).to_string();
    let output = run_python("tests/publish/consumer.py", &[&world.table.endpoint], &batches).await;
    let handled: Vec<(String, usize, bool)> = serde_json::from_str(output.lines().last().unwrap()).unwrap();
    let expected =
        [("g0", 2, false), ("g0", 4, false), ("g1", 1, false), ("g1", 3, false), ("g1", 5, false), ("g0", 0, true)];
    assert_eq!(handled, expected.map(|(group, number, is_late)| (group.to_owned(), number, is_late)));
}

/// Events as EventBridge hands them on are what the schema says.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_of_their_schema() {
    let mut world = World::start(|entries| {
        let is_rejected = |entry: &Value| entry["Detail"].as_str().unwrap().contains("name 3\"");
        Reply::Each(entries.iter().map(|entry| is_rejected(entry).then_some("MalformedDetail")).collect())
    })
    .await;
    put(&world.table, 2, 4);
    let event: Value = serde_json::from_str(&fs::read_to_string("tests/publish/stream-event.json").unwrap()).unwrap();
    invoke(&world.publisher(), event.to_string(), TIME_LEFT).await.unwrap();
    world.publish().await;
    let events: Vec<Value> = world.bus.accepted().iter().map(as_handed_on).collect();
    let output = run_python("tests/publish/schema.py", &[], &json!(events).to_string()).await;
    assert_eq!(output.trim(), "5 events, and none of 3 that are wrong");
}

/// An entry as EventBridge hands it on.
fn as_handed_on(entry: &Value) -> Value {
    json!({
        "version": "0",
        "id": "11710aed-b79e-4468-a20b-bb3c0c3b4860",
        "detail-type": entry["DetailType"],
        "source": entry["Source"],
        "account": "000000000000",
        "time": Timestamp::from_unix_millis(entry["Time"].as_i64().unwrap() * 1_000).unwrap(),
        "region": "us-east-1",
        "resources": entry["Resources"],
        "detail": serde_json::from_str::<Value>(entry["Detail"].as_str().unwrap()).unwrap(),
    })
}

/// Runs a program with the interpreter that has SAM, and so the AWS SDK.
async fn run_python(program: &str, args: &[&str], input: &str) -> String {
    let mut python = Command::new(PYTHON);
    python.arg(program).args(args).env("AWS_DEFAULT_REGION", "us-east-1");
    python.env("AWS_ACCESS_KEY_ID", "local").env("AWS_SECRET_ACCESS_KEY", "local");
    let mut python =
        python.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    python.stdin.take().unwrap().write_all(input.as_bytes()).await.unwrap();
    let output = timeout(TEST_TIMEOUT, python.wait_with_output()).await.unwrap().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// How many groups the records that go through the faults are of.
const GROUPS: usize = 97;

/// What the bus answers to its n-th request. Every fault comes many times, but for those that take seconds.
fn faulty(number: usize, entries: &[Value]) -> Reply {
    let of = |entry: &Value| {
        let detail: Value = serde_json::from_str(entry["Detail"].as_str().unwrap()).unwrap();
        let number: usize = detail["change_key"].as_str().unwrap().rsplit('#').next().unwrap().parse().unwrap();
        (number, !detail["change"].is_null())
    };
    let each = |code: &'static str, every: usize| {
        let refused = |(at, entry): (usize, &Value)| match of(entry) {
            // For good, but for the change; and for good.
            (record, true) if record % 499 == 3 => Some("MalformedDetail"),
            (record, _) if record % 1_999 == 5 => Some("InvalidArgument"),
            _ => (at + number).is_multiple_of(every).then_some(code),
        };
        Reply::Each(entries.iter().enumerate().map(refused).collect())
    };
    match number {
        _ if number % 600 == 30 => Reply::Hang,
        _ if number % 600 == 60 => Reply::LostAnswer,
        _ if number % 23 == 5 => each("InternalFailure", 3),
        _ if number % 41 == 7 => each("ThrottlingException", 1),
        _ if number % 67 == 9 => Reply::Status(500, "InternalException"),
        _ if number % 101 == 11 => Reply::Garbage,
        _ if number % 131 == 13 => Reply::Short,
        _ => each("", usize::MAX),
    }
}

/// `make chaos` sends ten times as many.
#[tokio::test]
async fn a_thousand_changes_with_faults_at_every_stage_arrive() {
    changes_with_faults_at_every_stage_arrive(1_000).await;
}

/// The built function, with a bus that refuses some, all, hangs and answers garbage, that is killed again and again, and with
/// records that cannot be read.
pub(crate) async fn changes_with_faults_at_every_stage_arrive(records: usize) {
    let mut number = 0;
    let mut world = World::start(move |entries| {
        number += 1;
        faulty(number, entries)
    })
    .await;
    let mut poisoned = BTreeSet::new();
    for number in 0..records {
        let mut item = item(&format!("g{}", number % GROUPS), number, Timestamp::now());
        if number % 1_009 == 17 {
            item["occurred_at"]["S"] = "yesterday".into();
            poisoned.insert(number);
        }
        world.table.put(&item);
    }
    let settings = world.settings();
    let start = Instant::now();
    let (mut invocations, mut kills) = (0, 0);
    let function = Mutex::new(Some(Function::start("publisher", &settings).await));
    while !world.stream.is_done().unwrap() {
        invocations += 1;
        let is_killed = invocations % 6 == 3;
        kills += usize::from(is_killed);
        let invoke = async |event| {
            let running = function.lock().unwrap().take();
            let running = match running {
                Some(running) => running,
                None => Function::start("publisher", &settings).await,
            };
            let answer = tokio::select! {
                answer = running.invoke(event, TIME_LEFT) => answer.body,
                // Somewhere in a batch.
                () = sleep(Duration::from_millis(3 + kills as u64 % 40)), if is_killed => None,
            };
            if answer.is_none() {
                running.kill().await;
            } else {
                *function.lock().unwrap() = Some(running);
            }
            answer.ok_or_else(|| anyhow::anyhow!("the function was killed"))
        };
        world.stream.poll(invoke).await.unwrap();
        assert!(start.elapsed() < 3 * TEST_TIMEOUT, "the publisher does not keep up");
    }
    let took = start.elapsed();

    let details = world.bus.details();
    assert_order(&details);
    let published: BTreeSet<_> = details.iter().map(key).collect();
    let letters = world.dead_letters().await;
    let given_up: BTreeSet<_> =
        letters.into_iter().map(|letter| (letter.group_key.unwrap(), letter.change_key.unwrap())).collect();
    let all: BTreeSet<_> = published.union(&given_up).cloned().collect();
    assert_eq!(all, recorded(&world.table), "some are missing");
    assert!(published.is_disjoint(&given_up));
    let number = |(_, change): &(String, String)| change.rsplit('#').next().unwrap().parse::<usize>().unwrap();
    let expected = (0..records).filter(|number| poisoned.contains(number) || number % 1_999 == 5);
    assert_eq!(given_up.iter().map(number).collect::<BTreeSet<_>>(), expected.collect());
    // Doubles have the same key, and tell the same.
    let mut told = BTreeMap::new();
    for detail in &details {
        let other = told.entry(key(detail)).or_insert_with(|| detail.clone());
        let is_same = *other == *detail || !detail["change_omitted"].is_null() || !other["change_omitted"].is_null();
        assert!(is_same, "{detail}");
    }
    assert_eq!(world.stream.given_up.len(), 0);
    assert!(kills > records / 1_000 && details.len() > published.len(), "{kills} kills and no double");
    #[expect(clippy::print_stderr, reason = "the figures")]
    let () = eprintln!(
        "{} records, {} events of which {} are doubles, {} dead letters, {} requests, {invocations} invocations, {kills} kills, {took:.1?}",
        records,
        details.len(),
        details.len() - published.len(),
        given_up.len(),
        world.bus.requests().len(),
    );
}

/// An embedded EventBridge, whose rule sends everything to an embedded queue.
async fn embedded_bus(queues: &Queues) -> (LocalBus, String) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let queue_url = queues.add("events").await.unwrap();
    (bus::serve(listener, queues.client.clone(), &queue_url).unwrap(), queue_url)
}

/// What a user of this table and bus has set.
fn cli_settings(world: &World, bus: &str) -> BTreeMap<String, String> {
    let settings = [
        ("AWS_ENDPOINT_URL_DYNAMODB", world.table.endpoint.as_str()),
        ("AWS_ENDPOINT_URL_EVENTBRIDGE", bus),
        ("EVENT_BUS_ARN", BUS_ARN),
    ];
    settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

/// What the command line says, with this table and bus.
async fn cli(world: &World, bus: &str, args: &[&str]) -> Ended {
    run(&cli_settings(world, bus), args, "").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_recorded_in_a_time_is_sent_again_in_the_order_of_writing() {
    let world = World::start(Reply::accept).await;
    let start: Timestamp = "2026-11-20T10:00:00Z".parse().unwrap();
    for number in 0..250 {
        world.table.put(&item(
            &format!("g{}", number % 7),
            number,
            start.plus_millis(i64::try_from(number).unwrap() * 1_000),
        ));
    }
    let args = ["publish", "--from", "2026-11-20T10:00:10Z", "--until", "2026-11-20T10:04:00Z"];
    let dry = cli(&world, &world.bus.endpoint, &[&args[..], &["--dry-run", "--json"]].concat()).await;
    assert_eq!(dry.succeeded(), r#"{"dry_run":true,"published":230,"rejected":0}"#);
    assert_eq!(world.bus.requests().len(), 0);
    let ended = cli(&world, &world.bus.endpoint, &args).await;
    assert_eq!(ended.succeeded(), "230 events were put on the bus.", "{}", ended.errors);
    let details = world.bus.details();
    assert_order(&details);
    let sent: BTreeSet<_> = details.iter().map(|detail| detail["change"]["number"].as_u64().unwrap()).collect();
    assert_eq!((details.len(), sent), (230, (10..240).collect()));
    // As the publisher tells it.
    let again = &world.bus.details()[0];
    assert_eq!(again["change"]["name"], format!("name {}", again["change"]["number"]));
    let none = cli(&world, &world.bus.endpoint, &[&args[..], &["--platform", "tencent-chat"]].concat()).await;
    assert_eq!(none.succeeded(), "0 events were put on the bus.");
}

/// A record that becomes visible in the index only after the command began.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sending_again_waits_until_its_end_has_settled() {
    let world = World::start(Reply::accept).await;
    let late = item("g", 1, Timestamp::now());
    let args = ["publish", "--from", "1h", "--until", "0s"];
    let (ended, ()) = tokio::join!(cli(&world, &world.bus.endpoint, &args), async {
        sleep(Duration::from_secs(2)).await;
        world.table.put(&late);
    });
    assert_eq!(ended.succeeded(), "1 events were put on the bus.", "{}", ended.errors);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sending_again_goes_on_where_it_was_stopped() {
    // In the second page, the bus hangs until it is told not to.
    let (is_well, mut left) = (Arc::new(AtomicBool::new(false)), 15);
    let now = Arc::clone(&is_well);
    let world = World::start(move |entries| {
        left -= 1;
        if left > 0 || now.load(Ordering::SeqCst) { Reply::accept(entries) } else { Reply::Hang }
    })
    .await;
    let start: Timestamp = "2026-11-20T10:00:00Z".parse().unwrap();
    for number in 0..250 {
        world.table.put(&item(&format!("g{number}"), number, start.plus_millis(i64::try_from(number).unwrap())));
    }
    let folder = TempDir::new().unwrap();
    let checkpoint = folder.path().join("checkpoint");
    let checkpoint = checkpoint.to_str().unwrap();
    let args =
        ["publish", "--from", "2026-11-20T10:00:00Z", "--until", "2026-11-20T11:00:00Z", "--checkpoint", checkpoint];
    let process = command(&cli_settings(&world, &world.bus.endpoint), &args).spawn().unwrap();
    let begun = Instant::now();
    while world.bus.requests().len() < 15 {
        assert!(begun.elapsed() < TEST_TIMEOUT, "it does not get to the second page");
        sleep(Duration::from_millis(10)).await;
    }
    let id = process.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().await.unwrap().success());
    let ended = timeout(TEST_TIMEOUT, process.wait_with_output()).await.unwrap().unwrap();
    assert_eq!(ended.status.code(), Some(130));
    let errors = String::from_utf8(ended.stderr).unwrap();
    assert!(errors.contains("100 events are on the bus: the same command goes on."), "{errors}");

    let other = cli(&world, &world.bus.endpoint, &[&args[..], &["--kind", "group.full"]].concat()).await;
    assert_eq!((other.code, other.errors.contains("other options")), (Some(2), true), "{}", other.errors);
    is_well.store(true, Ordering::SeqCst);
    let counted = cli(&world, &world.bus.endpoint, &[&args[..], &["--dry-run"]].concat()).await;
    assert_eq!(counted.succeeded(), "250 events would be put on the bus.");
    let again = cli(&world, &world.bus.endpoint, &args).await;
    assert!(again.errors.contains("Resuming after 100 events."), "{}", again.errors);
    assert_eq!(again.succeeded(), "250 events were put on the bus.");
    assert!(!fs::exists(checkpoint).unwrap(), "what is done leaves nothing behind");
    let details = world.bus.details();
    assert_eq!(details.iter().map(key).collect::<BTreeSet<_>>(), recorded(&world.table));
    assert!((250..=350).contains(&details.len()), "{} events", details.len());
}

/// What EventBridge rejects is named, and the rest is put.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sending_again_names_what_is_rejected() {
    let world = World::start(|entries| {
        let is_rejected = |entry: &Value| entry["Detail"].as_str().unwrap().contains("#0000000000000003\"");
        Reply::Each(entries.iter().map(|entry| is_rejected(entry).then_some("InvalidArgument")).collect())
    })
    .await;
    for number in 0..5 {
        world.table.put(&item("g", number, "2026-11-20T10:00:00Z".parse().unwrap()));
    }
    let ended = cli(&world, &world.bus.endpoint, &["publish", "--from", "2026-11-20T00:00:00Z"]).await;
    assert_eq!((ended.code, world.bus.details().len()), (Some(1), 4));
    let line = "rejected, InvalidArgument: openim#openim#g 2024-05-07T02:40:01.000Z#0000000000000003\n";
    assert!(
        ended.errors.starts_with(line) && ended.errors.ends_with("error: EventBridge rejected 1 events\n"),
        "{}",
        ended.errors
    );
}

#[tokio::test]
async fn sending_again_says_what_is_wrong_with_its_usage() {
    let world = World::start(Reply::accept).await;
    for (args, problem) in [
        (&["--from", "yesterday"][..], "--from must be a time"),
        (&["--from", "1h", "--until", "2h"], "--from must be before --until"),
        (&["--from", "1h", "--kind", "x"], "--kind"),
        (&["--from", "1h", "--event-bus-arn", "groups"], "--event-bus-arn must be the ARN"),
    ] {
        let ended = cli(&world, &world.bus.endpoint, &[&["publish"], args].concat()).await;
        assert_eq!((ended.code, ended.errors.contains(problem)), (Some(2), true), "{args:?}: {}", ended.errors);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_come_out_of_the_rules_queue() {
    let world = World::start(Reply::accept).await;
    let (bus, queue_url) = embedded_bus(&world.queues).await;
    assert_eq!(bus.arn, BUS_ARN);
    let mut item = item("@TGS#2J4SZEAEL", 1, "2026-11-20T10:00:00Z".parse().unwrap());
    item["change"]["M"] = json!({ "name": { "S": "\u{1b}[31mTrail runners" } });
    world.table.put(&item);
    for form in [&[][..], &["--json"]] {
        let put = cli(&world, &bus.endpoint, &["publish", "--from", "2026-11-20T00:00:00Z"]).await;
        assert_eq!(put.succeeded(), "1 events were put on the bus.");
        let mut shown = String::new();
        let start = Instant::now();
        // The rule takes a moment.
        while shown.is_empty() && start.elapsed() < TEST_TIMEOUT {
            let args = ["events", "--queue-url", &queue_url, "--until-empty"];
            let ended = cli(&world, &bus.endpoint, &[&args[..], form].concat()).await;
            shown = ended.succeeded();
        }
        if form.is_empty() {
            let line = "2024-05-07T02:40:01.000Z  group.info_changed        openim#openim#@TGS#2J4SZEAEL  name=\"\\u001b[31mTrail runners\"";
            assert_eq!(shown, line);
        } else {
            let event: Value = serde_json::from_str(&shown).unwrap();
            assert_eq!([&event["source"], &event["detail-type"]], ["group-ledger", "group.info_changed"]);
            assert_eq!(
                [&event["time"], &event["resources"][0]],
                ["2024-05-07T02:40:01Z", "openim#openim#@TGS#2J4SZEAEL"]
            );
            assert_eq!(event["detail"]["recorded_at"], "2026-11-20T10:00:00.000Z");
        }
    }
    let none = cli(&world, &bus.endpoint, &["events", "--until-empty"]).await;
    assert_eq!((none.code, none.errors.contains("--queue-url")), (Some(2), true), "{}", none.errors);
}

/// Prints how long records take from their write to the bus, with the built function and a bus that answers at once: at a steady
/// rate, and where many wait.
pub(crate) async fn print_lag() {
    for (what, groups, records, a_second) in [
        ("100 a second, of 97 groups", 97, 2_000, Some(100)),
        ("10 a second, of one group", 1, 200, Some(10)),
        ("5,000 at once, of 97 groups", 97, 5_000, None),
        ("1,000 at once, of one group", 1, 1_000, None),
    ] {
        let lags = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&lags);
        let mut world = World::start(move |entries| {
            let now = Timestamp::now();
            let lag = |entry: &Value| {
                let detail: Value = serde_json::from_str(entry["Detail"].as_str().unwrap()).unwrap();
                detail["recorded_at"].as_str().unwrap().parse::<Timestamp>().unwrap().until(now)
            };
            seen.lock().unwrap().extend(entries.iter().map(lag));
            Reply::accept(entries)
        })
        .await;
        let function = Function::start("publisher", &world.settings()).await;
        let record = |number: usize| item(&format!("g{}", number % groups), number, Timestamp::now());
        let begun = Instant::now();
        let mut written = 0;
        if a_second.is_none() {
            for number in 0..records {
                world.table.put(&record(number));
            }
            written = records;
        }
        let start = Instant::now();
        while lags.lock().unwrap().len() < records {
            let due = a_second
                .map_or(records, |a_second| usize::try_from(begun.elapsed().as_millis()).unwrap() * a_second / 1_000);
            while written < due.min(records) {
                world.table.put(&record(written));
                written += 1;
            }
            if world.stream.is_done().unwrap() {
                // Lambda reads a shard four times a second.
                sleep(Duration::from_millis(250)).await;
                continue;
            }
            let invoke = async |event| {
                function.invoke(event, TIME_LEFT).await.body.ok_or_else(|| anyhow::anyhow!("the function failed"))
            };
            world.stream.poll(invoke).await.unwrap();
        }
        let took = start.elapsed();
        let mut lags = std::mem::take(&mut *lags.lock().unwrap());
        lags.sort_unstable();
        let at = |percent: usize| lags[(lags.len() - 1) * percent / 100];
        let rate = if a_second.is_none() {
            format!("; {:.0} records a second", f64::from(u32::try_from(records).unwrap()) / took.as_secs_f64())
        } else {
            format!("; p50 {:?}, p99 {:?}, longest {:?}", at(50), at(99), at(100))
        };
        #[expect(clippy::print_stderr, reason = "the figures")]
        let () = eprintln!("{what}: {} requests{rate}", world.bus.requests().len());
    }
}
