//! Minutes of load, with an outage, a storm or kills in the middle: nothing is lost, doubled or late. `make chaos` runs it,
//! with the functions as they are deployed; docs/reliability.md has its figures.

#![allow(clippy::print_stdout, reason = "progress and figures of what takes minutes")]

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use group_ledger::domain::change::Detail;
use group_ledger::domain::record::Raw;
use group_ledger::domain::timestamp::{Clock, Timestamp};
use group_ledger::storage::envelope::Envelope;
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::local::{Stack, TENCENT_OK, drained, info_changed, queues, records};
use crate::reading::feed::everything_once;
use crate::reading::{api, get};
use crate::reliability::sample;
use crate::support::lambda::Function;
use crate::support::{self, OPENIM, Sent, TENCENT_CHAT, Table, has_time, post, send};

mod server;
mod soak;

const OPENIM_OK: &str = r#"{"actionCode":0,"errCode":0,"errMsg":"Success","errDlt":"","nextCode":0}"#;
const TENCENT_TIMEOUT: Duration = Duration::from_secs(2);

/// One request and how it must be answered.
struct Callback {
    request: Vec<u8>,
    answer: (u16, &'static str),
}

/// The answer to one request: when that was sent, whether it was the right answer, and how long it took.
struct Answer {
    begun: Instant,
    is_right: bool,
    took: Duration,
}

impl Callback {
    async fn send_to(self, port: u16) -> Answer {
        let begun = Instant::now();
        let answer = send(port, &self.request).await;
        let is_right = answer.is_some_and(|(status, body)| (status, body.as_str()) == self.answer);
        Answer { begun, is_right, took: begun.elapsed() }
    }
}

fn set_group_info_ex(group: &str) -> Vec<u8> {
    let body =
        format!(r#"{{"callbackCommand":"callbackAfterSetGroupInfoExCommand","groupID":"{group}","groupName":"n"}}"#);
    post("/openim/callbackAfterSetGroupInfoExCommand", &body)
}

/// A change of a group of its own.
fn change(number: usize) -> Callback {
    let group = format!("g{number}");
    if number.is_multiple_of(2) {
        Callback { request: info_changed(&group, 1_715_049_600_123), answer: (200, TENCENT_OK) }
    } else {
        Callback { request: set_group_info_ex(&group), answer: (200, OPENIM_OK) }
    }
}

/// Sends callbacks at a rate, whether the earlier ones are answered or not.
async fn send_at_rate(port: u16, a_second: u32, seconds: u32, callback: impl Fn(usize) -> Callback) -> Vec<Answer> {
    let mut ticks = interval(Duration::from_secs(1) / a_second);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut sent = JoinSet::new();
    for number in 0..(a_second * seconds) as usize {
        ticks.tick().await;
        sent.spawn(callback(number).send_to(port));
        if number.is_multiple_of((a_second * 15) as usize) {
            println!("  {number} callbacks sent");
        }
    }
    sent.join_all().await
}

const READER_TOKEN: &str = "0123456789abcdef";

/// Asks a route of the reader's.
async fn ask(port: u16, route: &str) -> Option<(u16, String)> {
    let request =
        format!("GET /ledger/v1/{route} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {READER_TOKEN}\r\n\r\n");
    send(port, request.as_bytes()).await
}

/// Follows the feed until it has seen so many records: how often each. What is not answered is asked again.
async fn consume(port: u16, records: usize) -> HashMap<String, usize> {
    let (mut seen, mut query) = (HashMap::new(), "limit=1000".to_owned());
    while seen.len() < records {
        if let Some((200, body)) = ask(port, &format!("feed?{query}")).await {
            let page: Value = serde_json::from_str(&body).unwrap();
            for change in page["changes"].as_array().unwrap() {
                *seen.entry(format!("{}/{}", change["group_key"], change["change_key"])).or_default() += 1;
            }
            query = format!("limit=1000&after={}", page["next"].as_str().unwrap());
        }
        sleep(Duration::from_millis(500)).await;
    }
    seen
}

/// Prints the figures of answers: how many were wrong or later than Tencent waits for, which must be none.
fn figures(what: &str, answers: &[Answer]) {
    let mut took: Vec<Duration> = answers.iter().map(|answer| answer.took).collect();
    took.sort();
    let quantile = |of_1000: usize| took[(took.len() - 1) * of_1000 / 1000];
    let wrong = answers.iter().filter(|answer| !answer.is_right).count();
    let late = took.iter().filter(|took| **took >= TENCENT_TIMEOUT).count();
    println!(
        "{what}: {} callbacks, {wrong} wrong, {late} late; p50 {:.1?}, p99 {:.1?}, p99.9 {:.1?}, longest {:.1?}",
        answers.len(),
        quantile(500),
        quantile(990),
        quantile(999),
        quantile(1000),
    );
    assert_eq!((wrong, late), (0, 0));
}

/// How many records each group has.
fn records_by_group(folder: &TempDir) -> HashMap<String, usize> {
    let mut groups = HashMap::new();
    for record in records(folder) {
        *groups.entry(record["group_id"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    groups
}

/// How many of a stack's log lines have which outcome.
fn outcomes(output: &str) -> BTreeMap<&str, usize> {
    let mut outcomes = BTreeMap::new();
    for outcome in output.split(r#""outcome":""#).skip(1).filter_map(|rest| rest.split('"').next()) {
        *outcomes.entry(outcome).or_default() += 1;
    }
    outcomes
}

/// How long records take to the bus.
#[tokio::test]
#[ignore = "takes a minute: make chaos"]
async fn the_publishers_lag() {
    crate::publish::print_lag().await;
}

/// The publisher, with faults at every stage.
#[tokio::test]
#[ignore = "takes a minute: make chaos"]
async fn ten_thousand_changes_with_faults_are_published() {
    crate::publish::changes_with_faults_at_every_stage_arrive(10_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a minute of load: make chaos"]
async fn an_outage_of_dynamodb() {
    let stack = Stack::start(TempDir::new().unwrap(), &[("READER_TOKENS", &format!("chaos:{READER_TOKEN}"))]).await;
    let queues = queues(&stack);
    let consumer = tokio::spawn(consume(stack.ports[0], 12_000));
    let outage = async {
        sleep(Duration::from_secs(20)).await;
        stack.signal("-USR1", false).await;
        println!("  DynamoDB is cut off");
        sleep(Duration::from_secs(20)).await;
        stack.signal("-USR1", false).await;
        println!("  DynamoDB is back");
    };
    let (answers, ()) = tokio::join!(send_at_rate(stack.ports[0], 200, 60, change), outage);
    let start = Instant::now();
    drained(&queues).await;
    let drained_after = start.elapsed();
    assert_eq!(queues.depth(&queues.dead_letters).await.unwrap(), 0);
    let seen = timeout(Duration::from_mins(1), consumer).await.unwrap().unwrap();
    stack.signal("-INT", true).await;
    let (_, output, folder) = stack.end().await;

    figures("Outage, 200 a second for 60 s, 20 s of them without DynamoDB", &answers);
    let groups = records_by_group(&folder);
    let lost = (0..answers.len()).filter(|number| !groups.contains_key(&format!("g{number}"))).count();
    let doubled = groups.values().filter(|records| **records > 1).count();
    let outcomes = outcomes(&output);
    println!(
        "  {lost} lost, {doubled} doubled; the fallback queue empty {drained_after:.1?} after the last callback; {outcomes:?}"
    );
    assert_eq!((lost, doubled), (0, 0));
    assert!(outcomes["queued"] >= 3_000, "the outage was none");
    let more_than_once = seen.values().filter(|times| **times > 1).count();
    println!("  a consumer of the feed saw {} records, {more_than_once} of them more than once", seen.len());
    assert_eq!((seen.len(), more_than_once), (answers.len(), 0));
}

/// Minutes of the feed, simulated: writers whose clocks differ, an outage, an index that lags.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "50,000 records: make chaos"]
async fn a_feed_of_50_000_records() {
    let start = Instant::now();
    everything_once(50_000).await;
    println!("Feed: each of 50,000 records once, in {:.1?}", start.elapsed());
}

/// A group with a key as long as one may be, of 1,000 changes of 390 KB, half of it in the body and half in what changed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "390 MB of records: make chaos"]
async fn a_history_of_390_megabytes() {
    const CHANGES: usize = 1_000;
    let table = Table::start().await;
    let ledger = table.ledger();
    let group_id = "g".repeat(2_048 - "openim#openim#".len());
    let begins = Timestamp::now().plus_millis(-200 * 24 * 60 * 60 * 1_000);
    let Envelope::Record(sample) = Envelope::from_text(&sample()).unwrap().remove(0) else { panic!("no record") };
    for number in 0..CHANGES {
        let mut record = sample.clone();
        record.group_key = format!("openim#openim#{group_id}");
        record.digest = format!("{number:064x}");
        record.occurred_at = begins.plus_millis(i64::try_from(number).unwrap());
        record.raw = Raw::Gzip(vec![0; if number % 2 == 0 { 390_000 } else { 0 }]);
        let text = "x".repeat(if number % 2 == 0 { 0 } else { 390_000 });
        record.change.details = vec![("name".into(), Detail::Text(text.into()))];
        let written_at = record.occurred_at;
        let ledger = ledger.clone().with_clock(Clock::new(move || written_at));
        ledger.write(&[Envelope::Record(record)], Duration::from_mins(1)).await.unwrap();
    }
    println!("  {CHANGES} changes written");
    let api = api(&table);
    let lists = [
        ("history", format!("group_key=openim%23openim%23{group_id}&limit=1000"), "cursor"),
        ("feed", "limit=1000".to_owned(), "after"),
    ];
    for (route, query, cursor) in lists {
        let mut next = if route == "feed" { format!("&from={begins}") } else { String::new() };
        let (mut found, mut pages, mut longest, mut largest) = (0, 0, Duration::ZERO, 0);
        loop {
            let start = Instant::now();
            let answer = get(&api, &format!("/ledger/v1/{route}?{query}{next}")).await;
            assert_eq!(answer.status, 200, "{}", answer.body);
            (longest, largest, pages) = (longest.max(start.elapsed()), largest.max(answer.body.len()), pages + 1);
            let page = answer.json();
            found += page["changes"].as_array().unwrap().len();
            if page["more"] == false {
                break;
            }
            next = format!("&{cursor}={}", page["next"].as_str().unwrap());
        }
        println!("Large {route}: {found} changes in {pages} pages, of at most {longest:.1?} and {largest} bytes");
        assert_eq!(found, CHANGES, "{route}");
        assert!(longest < Duration::from_secs(9) && largest <= 4_100_000, "{route}");
    }
}

/// Through functions side by side, as Lambda starts them; the local Lambda API takes no more than 100 requests at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "make chaos"]
async fn a_storm_of_one_callback() {
    const FUNCTIONS: usize = 20;
    let table = Table::start().await;
    let mut functions = Vec::new();
    for _ in 0..FUNCTIONS {
        functions.push(Arc::new(Function::start("tencent-chat", &table.settings(&[])).await));
    }
    let mut deliveries = JoinSet::new();
    for number in 0..1_000 {
        let function = Arc::clone(&functions[number % FUNCTIONS]);
        let callback = support::change(TENCENT_CHAT).request(&format!("request-{number}"));
        deliveries.spawn(async move { function.invoke(callback.event(), Duration::from_secs(3)).await.body });
    }
    let acknowledged =
        |answer: &Option<String>| answer.as_ref().is_some_and(|body| body.contains(r#""statusCode":200"#));
    let acknowledged = deliveries.join_all().await.iter().filter(|answer| acknowledged(answer)).count();
    let mut log = String::new();
    for function in functions {
        log += &Arc::into_inner(function).unwrap().kill().await;
    }
    let (outcomes, records) = (outcomes(&log), table.records().len());
    println!("Storm: {acknowledged} acknowledged, {records} record; {outcomes:?}");
    assert_eq!((acknowledged, records), (1_000, 1));
    assert_eq!((outcomes["recorded"], outcomes["duplicate"]), (1, 999));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "five minutes of load: make chaos"]
async fn five_minutes_of_load() {
    let stack = Stack::start(TempDir::new().unwrap(), &[]).await;
    let queues = queues(&stack);
    let mixed = |number: usize| match number % 10 {
        // A repetition, what is not recorded, and what is rejected.
        6 => Callback { request: info_changed("repeated", 1_715_049_600_123), answer: (200, TENCENT_OK) },
        7 => Callback { request: post("/openim/callbackAfterSendGroupMsgCommand", "{}"), answer: (200, OPENIM_OK) },
        8 => Callback {
            request: post("/tencent-chat?SdkAppid=1", "{}"),
            answer: (
                403,
                r#"{"ActionStatus":"FAIL","ErrorInfo":"SdkAppid is missing or not this app's.","ErrorCode":40301}"#,
            ),
        },
        9 => Callback {
            request: post("/openim", r#"{"callbackCommand":"callbackAfterQuitGroupCommand"}"#),
            answer: (
                400,
                r#"{"actionCode":1,"errCode":40004,"errMsg":"No group id was given.","errDlt":"","nextCode":0}"#,
            ),
        },
        _ => change(number),
    };
    // The replay has something to do as well.
    let fallback_queue = async {
        for _ in 0..300 {
            queues.client.send_message().queue_url(&queues.fallback_queue).message_body(sample()).send().await.unwrap();
            sleep(Duration::from_secs(1)).await;
        }
    };
    let (answers, ()) = tokio::join!(send_at_rate(stack.ports[0], 300, 300, mixed), fallback_queue);
    drained(&queues).await;
    stack.signal("-INT", true).await;
    let (_, output, folder) = stack.end().await;
    figures("Load, 300 a second for 5 minutes", &answers);
    println!("  {:?}", outcomes(&output));
    let groups = records_by_group(&folder);
    let changes = (0..answers.len()).filter(|number| number % 10 < 6);
    let lost = changes.filter(|number| groups.get(&format!("g{number}")) != Some(&1)).count();
    assert_eq!(lost, 0, "a change is not one record");
}

/// Functions side by side, each killed again and again in its work. What Tencent has no answer to it sends again; OpenIM does
/// not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "make chaos"]
async fn two_hundred_kills() {
    const KILLS: usize = 50;
    let table = Arc::new(Table::start().await);
    let mut functions = JoinSet::new();
    for (sender, platform) in [TENCENT_CHAT, OPENIM, TENCENT_CHAT, OPENIM].into_iter().enumerate() {
        let table = Arc::clone(&table);
        functions.spawn(async move {
            let mut acknowledged = Vec::new();
            let mut number = 0;
            for kill in 0..KILLS {
                let function = Function::start(platform.name, &table.settings(&[])).await;
                // Any moment from the start to some hundred callbacks later; another one for each kill.
                let moment = Duration::from_micros(((kill * 7919 + sender * 104_729) % 60_000) as u64);
                let killed = {
                    let work = async {
                        loop {
                            let group = format!("{sender}-{number}");
                            number += usize::from(!has_time(platform));
                            let callback = support::change(platform);
                            let body = String::from_utf8(callback.body.clone()).unwrap();
                            let callback = Sent { body: body.replace("g1", &group).into_bytes(), ..callback };
                            let answer = function.invoke(callback.event(), Duration::from_secs(3)).await;
                            if answer.body.is_some_and(|body| body.contains(r#""statusCode":200"#)) {
                                acknowledged.push(group);
                                number += usize::from(has_time(platform));
                            }
                        }
                    };
                    timeout(moment, work).await
                };
                assert!(killed.is_err());
                function.kill().await;
            }
            acknowledged
        });
    }
    let done = functions.join_all().await;
    let acknowledged: Vec<String> = done.into_iter().flatten().collect();
    let mut groups: HashMap<String, usize> = HashMap::new();
    for record in table.records() {
        *groups.entry(record["group_id"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    let lost = acknowledged.iter().filter(|group| !groups.contains_key(*group)).count();
    let doubled = groups.values().filter(|records| **records > 1).count();
    println!(
        "Kills: {} of the function in its work; {} callbacks acknowledged, {lost} of them lost, {doubled} doubled",
        4 * KILLS,
        acknowledged.len(),
    );
    assert_eq!((lost, doubled), (0, 0));
    assert!(acknowledged.len() > 4 * KILLS, "that was no load");
}
