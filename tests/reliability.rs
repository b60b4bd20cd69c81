//! Whatever fails behind a function, a genuine callback survives it: the built binaries over real sockets, with faults on
//! the way to DynamoDB and SQS.
//!
//! The invariant: a success answer is never given without a durable copy; what is answered otherwise is in the log; and
//! when all is well again, every callback is exactly one record.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::time::Duration;

use group_ledger::host::aws::{self, FUNCTION_TIMEOUTS, Timeouts};
use group_ledger::platform::{PLATFORMS, Registration};
use group_ledger::settings::Settings;
use group_ledger::storage::envelope::Envelope;
use group_ledger::storage::fallback_queue::FallbackQueue;
use group_ledger::storage::ledger::Ledger;
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::event_source;
use crate::queue::{self, Queues};
use crate::support::fault::{Fault, Proxy, Transport, authority};
use crate::support::lambda::{Answer, Function};
use crate::support::{
    self, OPENIM, Sent, TENCENT_CHAT, TEST_TIMEOUT, Table, assert_answer, change, cli, platform_of, random_members,
    response,
};
use crate::template::Template;

/// What Lambda gives a function, as the template says.
pub(crate) const TIME_LEFT: Duration = Duration::from_secs(3);
/// What it gives the replay.
const REPLAY_TIME: Duration = Duration::from_secs(30);
/// How long Tencent waits, the shortest of all senders' timeouts.
const TENCENT_TIMEOUT: Duration = Duration::from_secs(2);

/// The faults of every service.
const FAULTS: [Fault; 15] = [
    Fault::Refused,
    Fault::Unanswered,
    Fault::Reset,
    Fault::Closed,
    Fault::Hang,
    Fault::LostAnswer,
    Fault::LateAnswer,
    Fault::HalfAnswer,
    Fault::SlowAnswer,
    Fault::Garbage,
    Fault::Answer(400, "ThrottlingException"),
    Fault::Answer(403, "ExpiredTokenException"),
    Fault::Answer(403, "AccessDeniedException"),
    DOWN,
    Fault::Answer(503, "ServiceUnavailable"),
];

pub(crate) const DOWN: Fault = Fault::Answer(500, "InternalServerError");

const DYNAMODBS_FAULTS: [Fault; 3] = [
    Fault::Answer(400, "ValidationException"),
    Fault::Answer(400, "ProvisionedThroughputExceededException"),
    Fault::Answer(400, "ResourceNotFoundException"),
];

const SQSS_FAULTS: [Fault; 3] = [
    Fault::Answer(400, "InvalidMessageContents"),
    Fault::Answer(400, "RequestThrottled"),
    Fault::Answer(400, "QueueDoesNotExist"),
];

/// The faults that TLS changes: those of the connection, where it ends without a word of TLS, and one rejection of each kind.
const TLS_FAULTS: [Fault; 10] = [
    Fault::Refused,
    Fault::NoHandshake,
    Fault::Untrusted,
    Fault::Reset,
    Fault::Closed,
    Fault::Hang,
    Fault::LostAnswer,
    Fault::LateAnswer,
    Fault::Answer(400, "ThrottlingException"),
    DOWN,
];

/// How many requests a callback makes where all of them meet with a fault.
fn attempts(fault: Fault) -> usize {
    match fault {
        // Put again, without what DynamoDB may not have liked.
        Fault::Answer(400, "ValidationException") => 2,
        // Would be answered alike again, by the SDK's judgement.
        Fault::Garbage
        | Fault::Answer(400, "ResourceNotFoundException" | "InvalidMessageContents" | "QueueDoesNotExist")
        | Fault::Answer(403, _) => 1,
        _ => 3,
    }
}

/// More often than anything is tried.
pub(crate) const ALWAYS: usize = usize::MAX;

/// A fault, how often it occurs on the way to DynamoDB, and a fault on the way to SQS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Case {
    pub(crate) transport: Transport,
    /// Its name.
    pub(crate) platform: &'static str,
    pub(crate) ledger: (Fault, usize),
    pub(crate) fallback_queue: (Fault, usize),
}

/// A table, a fallback queue, and a way to each on which things go wrong.
pub(crate) struct World {
    pub(crate) table: Table,
    pub(crate) queues: Queues,
    pub(crate) to_ledger: Proxy,
    pub(crate) to_fallback_queue: Proxy,
    /// The certificates of the authorities that the functions trust.
    trusted: NamedTempFile,
}

impl World {
    pub(crate) async fn start(ledger: (Fault, usize), fallback_queue: (Fault, usize)) -> Self {
        Self::start_over(Transport::Plain, ledger, fallback_queue).await
    }

    async fn start_over(transport: Transport, ledger: (Fault, usize), fallback_queue: (Fault, usize)) -> Self {
        let table = Table::start().await;
        let queues = queues().await;
        let to_ledger = Proxy::start(transport, &table.endpoint, ledger.0, ledger.1);
        let to_fallback_queue = Proxy::start(transport, &queues.endpoint, fallback_queue.0, fallback_queue.1);
        let mut trusted = NamedTempFile::new().unwrap();
        trusted.write_all(authority().as_bytes()).unwrap();
        Self { table, queues, to_ledger, to_fallback_queue, trusted }
    }

    pub(crate) fn settings(&self) -> BTreeMap<String, String> {
        let fallback_queue =
            self.queues.fallback_queue.replace(&self.queues.endpoint, &self.to_fallback_queue.endpoint);
        self.table.settings(&[
            ("AWS_ENDPOINT_URL_DYNAMODB", &self.to_ledger.endpoint),
            ("AWS_ENDPOINT_URL_SQS", &self.to_fallback_queue.endpoint),
            ("FALLBACK_QUEUE_URL", &fallback_queue),
            ("SSL_CERT_FILE", self.trusted.path().to_str().unwrap()),
        ])
    }

    /// A function whose warm-up meets with no fault but one that prevents connections.
    pub(crate) async fn function(&self, platform: &Registration, faults: usize) -> Function {
        self.function_with(platform, faults, &[]).await
    }

    /// The same, with more settings.
    pub(crate) async fn function_with(
        &self,
        platform: &Registration,
        faults: usize,
        more: &[(&str, &str)],
    ) -> Function {
        let mut settings = self.settings();
        settings.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        self.to_ledger.arm(0);
        let function = Function::start(platform.name, &settings).await;
        // An empty POST is answered once the function has started.
        assert_eq!(status(&function.invoke(Sent::post("/", "", "").event(), TIME_LEFT).await), Some(200));
        self.to_ledger.arm(faults);
        function
    }

    /// Lets the replay write what is in the fallback queue, with nothing in its way; how many messages there were.
    pub(crate) async fn replay(&self) -> usize {
        let replay = Function::start("replay", &self.table.settings(&[])).await;
        let mut messages = 0;
        loop {
            let invoke = |event| async { Ok(replay.invoke(event, REPLAY_TIME).await.body.unwrap()) };
            match event_source::poll(&self.queues, invoke).await.unwrap() {
                0 => break,
                some => messages += some,
            }
        }
        assert_eq!(self.queues.depth(&self.queues.fallback_queue).await.unwrap(), 0, "the replay failed");
        messages
    }
}

pub(crate) async fn queues() -> Queues {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    queue::serve(listener, Template::read().unwrap().queues().unwrap()).await.unwrap()
}

/// The status of an answer; `None` where the function failed.
pub(crate) fn status(answer: &Answer) -> Option<u16> {
    answer.body.as_ref().map(|body| response(body).status().as_u16())
}

/// Holds one case to the invariant; what became of its callback.
async fn check(case: Case) -> String {
    let Case { transport, platform, ledger, fallback_queue } = case;
    let platform = platform_of(platform);
    let world = World::start_over(transport, ledger, fallback_queue).await;
    let function = world.function(platform, ledger.1).await;
    let answer = function.invoke(change(platform).event(), TIME_LEFT).await;
    let log = function.kill().await;

    let status = status(&answer).unwrap_or_else(|| panic!("{case:?}: the function failed: {log}"));
    assert_answer(platform, &response(answer.body.as_ref().unwrap()), status, &format!("{case:?}"));
    let records = world.table.records().len();
    let queued = usize::try_from(world.queues.depth(&world.queues.fallback_queue).await.unwrap()).unwrap();
    let logged = log.matches(r#""message":"recover""#).count();
    let outcomes = log.lines().rfind(|line| line.contains(r#""message":"callback""#)).unwrap().to_owned();
    if status == 200 {
        assert!(records + queued > 0, "{case:?}: success without a durable copy: {outcomes}");
        assert_eq!(logged, 0, "{case:?}: {outcomes}");
        assert!(answer.took < TENCENT_TIMEOUT, "{case:?}: answered after {:?}", answer.took);
    } else {
        assert_eq!((status, logged), (503, 1), "{case:?}: {outcomes}");
        let sender = support::platform(platform, &[]);
        let is_held_back = answer.took >= sender.sender_timeout();
        assert!(is_held_back || !sender.retries_after_timeout(), "{case:?}: answered after {:?}", answer.took);
        assert!(answer.took < TIME_LEFT, "{case:?}: answered after {:?}", answer.took);
    }

    let outcome: Value = serde_json::from_str(&outcomes).unwrap();
    let outcome = outcome["outcome"].as_str().unwrap().to_owned();
    // The fault was met; and SQS is not asked while DynamoDB is well, so that one kind of fault of it is enough then.
    for (proxy, fault, is_asked) in
        [(&world.to_ledger, ledger, true), (&world.to_fallback_queue, fallback_queue, outcome != "recorded")]
    {
        let is_reached = fault.1 == 0 || !fault.0.prevents_connections();
        assert_eq!(proxy.requests() > 0, is_asked && is_reached, "{case:?}: {} requests", proxy.requests());
    }

    // All is well again.
    world.replay().await;
    if status != 200 {
        let said = cli::run(&world.table.settings(&[]), &["recover"], &log).await.succeeded();
        assert!(said.ends_with(" 0 failed."), "{case:?}: {said}");
    }
    let records = world.table.records();
    assert_eq!(records.len(), 1, "{case:?}: {outcomes}");
    let body = String::from_utf8(change(platform).body).unwrap();
    assert_eq!([&records[0]["group_id"], &records[0]["raw"]], ["g1", body.as_str()], "{case:?}");
    outcome
}

/// How many cases run at a time, of all tests together: more would wait for the processor instead of for faults.
static SOME_AT_A_TIME: Semaphore = Semaphore::const_new(16);

/// Holds many cases to the invariant, some at a time; how many came to which outcome.
pub(crate) async fn check_all(cases: Vec<Case>) -> BTreeMap<String, usize> {
    let mut checks = JoinSet::new();
    for case in cases {
        checks.spawn(async move {
            let _permit = SOME_AT_A_TIME.acquire().await.unwrap();
            check(case).await
        });
    }
    let mut outcomes = BTreeMap::new();
    for outcome in checks.join_all().await {
        *outcomes.entry(outcome).or_default() += 1;
    }
    outcomes
}

pub(crate) const FINE: (Fault, usize) = (Fault::Hang, 0);

/// The ways in which a fault occurs: at the first attempt and at the first two, where there are more, and always.
fn ways(fault: Fault) -> impl Iterator<Item = (Fault, usize)> {
    let attempts = if fault.prevents_connections() { 1 } else { attempts(fault) };
    (1..attempts).chain([ALWAYS]).map(move |count| (fault, count))
}

fn on_each_platform(transport: Transport, ways: impl Iterator<Item = [(Fault, usize); 2]>) -> Vec<Case> {
    ways.flat_map(|[ledger, fallback_queue]| {
        PLATFORMS.map(|platform| Case { transport, platform: platform.name, ledger, fallback_queue })
    })
    .collect()
}

fn cases_of_dynamodb() -> Vec<Case> {
    let faults = FAULTS.into_iter().chain(DYNAMODBS_FAULTS);
    on_each_platform(Transport::Plain, faults.flat_map(ways).map(|ledger| [ledger, FINE]))
}

fn cases_of_sqs() -> Vec<Case> {
    let faults = FAULTS.into_iter().chain(SQSS_FAULTS);
    on_each_platform(Transport::Plain, faults.flat_map(ways).map(|fallback_queue| [(DOWN, ALWAYS), fallback_queue]))
}

/// But for the one that is among those of SQS.
fn cases_of_both() -> Vec<Case> {
    let faults = FAULTS.into_iter().filter(|fault| *fault != DOWN);
    on_each_platform(Transport::Plain, faults.map(|fault| [(fault, ALWAYS); 2]))
}

fn cases_of_sqs_alone() -> Vec<Case> {
    on_each_platform(Transport::Plain, [[FINE, (DOWN, ALWAYS)]].into_iter())
}

/// At the first attempt and always: what a second failure in a row adds is no matter of TLS.
fn cases_over_tls() -> Vec<Case> {
    let ways = || TLS_FAULTS.into_iter().flat_map(ways).filter(|way| way.1 != 2);
    let both = TLS_FAULTS.into_iter().filter(|fault| *fault != DOWN).map(|fault| [(fault, ALWAYS); 2]);
    let ways = ways()
        .map(|ledger| [ledger, FINE])
        .chain(ways().map(|fallback_queue| [(DOWN, ALWAYS), fallback_queue]))
        .chain(both);
    on_each_platform(Transport::Tls, ways)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_of_dynamodb_loses_nothing() {
    let outcomes = check_all(cases_of_dynamodb()).await;
    assert_eq!(outcomes.keys().collect::<Vec<_>>(), ["queued", "recorded"], "{outcomes:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_of_sqs_during_one_of_dynamodb_loses_nothing() {
    let outcomes = check_all(cases_of_sqs()).await;
    assert_eq!(outcomes.keys().collect::<Vec<_>>(), ["not_stored", "queued"], "{outcomes:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_fault_of_both_loses_nothing() {
    let outcomes = check_all(cases_of_both()).await;
    assert_eq!(outcomes.keys().collect::<Vec<_>>(), ["not_stored"], "{outcomes:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqs_is_not_asked_while_dynamodb_is_well() {
    let outcomes = check_all(cases_of_sqs_alone()).await;
    assert_eq!(outcomes.keys().collect::<Vec<_>>(), ["recorded"], "{outcomes:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_over_tls_loses_nothing() {
    let outcomes = check_all(cases_over_tls()).await;
    assert_eq!(outcomes.keys().collect::<Vec<_>>(), ["not_stored", "queued", "recorded"], "{outcomes:?}");
}

/// With no limit of time but an attempt's, so that a slow machine counts the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_is_met_at_as_many_attempts_as_the_cases_say() {
    let text = sample();
    let envelopes = Envelope::from_text(&text).unwrap();
    let of_both = || FAULTS.into_iter().filter(|fault| !fault.prevents_connections());
    for fault in of_both().chain(DYNAMODBS_FAULTS).chain(SQSS_FAULTS) {
        let world = World::start((fault, ALWAYS), (fault, ALWAYS)).await;
        let settings = world.settings();
        let lookup = |name: &str| settings.get(name).cloned();
        let settings = Settings::new(&lookup);
        let is_silent = matches!(fault, Fault::Hang | Fault::LateAnswer | Fault::SlowAnswer);
        let attempt = if is_silent { FUNCTION_TIMEOUTS.attempt } else { TEST_TIMEOUT };
        let config = aws::config(&settings, Timeouts { attempt, connect: TEST_TIMEOUT }).unwrap();
        if !SQSS_FAULTS.contains(&fault) {
            let ledger = Ledger::from_settings(&settings, &config).unwrap();
            assert!(ledger.write(&envelopes, TEST_TIMEOUT).await.is_err(), "{fault:?} of DynamoDB");
            assert_eq!(world.to_ledger.requests(), attempts(fault), "{fault:?} of DynamoDB");
        }
        if !DYNAMODBS_FAULTS.contains(&fault) {
            let fallback_queue = FallbackQueue::from_settings(&settings, &config).unwrap().unwrap();
            assert!(fallback_queue.send(std::slice::from_ref(&text), TEST_TIMEOUT).await.is_err(), "{fault:?} of SQS");
            assert_eq!(world.to_fallback_queue.requests(), attempts(fault), "{fault:?} of SQS");
        }
    }
}

#[tokio::test]
async fn a_connect_that_is_not_answered_hangs() {
    let proxy = Proxy::start(Transport::Plain, "http://127.0.0.1:1", Fault::Unanswered, ALWAYS);
    let connect = TcpStream::connect(proxy.endpoint.trim_start_matches("http://"));
    // Longer than a function waits for it.
    let waited = timeout(FUNCTION_TIMEOUTS.connect * 2, connect).await;
    assert!(waited.is_err(), "{waited:?}");
}

#[test]
fn the_documentation_counts_each_case_once() {
    let all = [cases_of_dynamodb(), cases_of_sqs(), cases_of_both(), cases_of_sqs_alone(), cases_over_tls()].concat();
    let distinct: HashSet<&Case> = all.iter().collect();
    assert_eq!(distinct.len(), all.len(), "a case is there twice");
    let over_tls = cases_over_tls().len();
    let documentation = fs::read_to_string("docs/reliability.md").unwrap().replace('\n', " ");
    let said = format!("In each of these {} cases, {over_tls} of them over TLS,", all.len());
    assert!(documentation.contains(&said), "docs/reliability.md does not say: {said}");
}

/// However long Tencent has waited by the clocks, it is waited for long enough.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_is_held_back_for_certain() {
    let now = group_ledger::domain::timestamp::Timestamp::now().unix_millis();
    for waited in [0, 1_000, 1_990] {
        let down = (DOWN, ALWAYS);
        let world = World::start(down, down).await;
        let function = world.function(TENCENT_CHAT, ALWAYS).await;
        let callback = Sent { received_at: now - waited, ..change(TENCENT_CHAT) };
        let answer = function.invoke(callback.event(), TIME_LEFT).await;
        assert_eq!(status(&answer), Some(503));
        assert!(answer.took >= TENCENT_TIMEOUT, "answered after {:?}", answer.took);
    }
}

/// Where the console's switch is off, Tencent does not retry, and there is nothing to wait for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_is_not_held_back_from_a_sender_that_does_not_retry() {
    let down = (Fault::Answer(500, "InternalServerError"), ALWAYS);
    let world = World::start(down, down).await;
    let mut settings = world.settings();
    settings.insert("TENCENT_RETRIES_AFTER_TIMEOUT".to_owned(), "false".to_owned());
    let function = Function::start("tencent-chat", &settings).await;
    let answer = function.invoke(change(TENCENT_CHAT).event(), TIME_LEFT).await;
    assert_eq!(status(&answer), Some(503));
    assert!(answer.took < TENCENT_TIMEOUT, "answered after {:?}", answer.took);
}

/// Lambda would end the function before the sender times out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_that_is_about_to_be_ended_answers_before() {
    for platform in PLATFORMS {
        let name = platform.name;
        for (fallback_queue, outcome) in [(FINE, 200), ((Fault::Hang, ALWAYS), 503)] {
            let world = World::start((Fault::Hang, ALWAYS), fallback_queue).await;
            let function = world.function(platform, ALWAYS).await;
            let time_left = Duration::from_secs(1);
            let answer = function.invoke(change(platform).event(), time_left).await;
            assert_eq!(status(&answer), Some(outcome), "{name}");
            assert!(answer.took < time_left, "{name}: answered after {:?}", answer.took);
            let logged = function.kill().await.matches(r#""message":"recover""#).count();
            assert_eq!(logged, usize::from(outcome == 503), "{name}");
        }
    }
}

/// A repetition, a redelivered message and a recovered log line are all the same callback.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_a_callback_comes_to_the_ledger_it_is_one_record() {
    let world = World::start((Fault::LateAnswer, ALWAYS), (Fault::LateAnswer, ALWAYS)).await;
    let function = world.function(TENCENT_CHAT, ALWAYS).await;
    for request in ["request-1", "request-2"] {
        let callback = change(TENCENT_CHAT).request(request);
        assert_eq!(status(&function.invoke(callback.event(), TIME_LEFT).await), Some(503));
    }
    let log = function.kill().await;
    assert_eq!(world.table.records().len(), 1, "each write was done, and its answer lost");
    assert!(world.replay().await >= 2, "each message was sent, and its answer lost");
    for _ in 0..2 {
        let said = cli::run(&world.table.settings(&[]), &["recover"], &log).await.succeeded();
        assert!(said.ends_with(" 0 failed."), "{said}");
    }
    assert_eq!(world.table.records().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_that_failed_is_left_alone_for_a_while() {
    let world = World::start((Fault::Hang, ALWAYS), FINE).await;
    let function = world.function(OPENIM, ALWAYS).await;
    for number in 0..20 {
        let callback = change(OPENIM).request(&format!("request-{number}"));
        assert_eq!(status(&function.invoke(callback.event(), TIME_LEFT).await), Some(200));
    }
    // The first callback's attempts.
    assert!(world.to_ledger.requests() <= 3, "{} requests", world.to_ledger.requests());
    assert_eq!(world.replay().await, 20);
    assert_eq!(world.table.records().len(), 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_died_while_the_function_was_frozen_costs_a_retry() {
    for die in [Proxy::cut, Proxy::forget] {
        let world = World::start(FINE, (Fault::Hang, ALWAYS)).await;
        let function = world.function(OPENIM, 0).await;
        for request in ["before", "after"] {
            let callback = change(OPENIM).request(request);
            let answer = function.invoke(callback.event(), TIME_LEFT).await;
            assert_eq!(status(&answer), Some(200), "{request}");
            function.freeze(true).await;
            die(&world.to_ledger);
            function.freeze(false).await;
        }
        assert_eq!(world.table.records().len(), 2);
        assert_eq!(world.to_fallback_queue.requests(), 0);
    }
}

/// The clocks of API Gateway and of the function need not agree.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_has_jumped_loses_nothing() {
    let now = group_ledger::domain::timestamp::Timestamp::now().unix_millis();
    for received_at in [0, now - 1_900, now - 86_400_000, now + 1_900, now + 86_400_000, i64::MAX] {
        for time_left in [Duration::ZERO, TIME_LEFT, Duration::from_hours(24)] {
            let world = World::start((Fault::Hang, 1), FINE).await;
            let function = world.function(OPENIM, 1).await;
            let callback = Sent { received_at, ..change(OPENIM) };
            let answer = function.invoke(callback.event(), time_left).await;
            assert_eq!(status(&answer), Some(200), "{received_at} {time_left:?}");
            world.replay().await;
            assert_eq!(world.table.records().len(), 1, "{received_at} {time_left:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_not_understood_is_queued_too() {
    let world = World::start((DOWN, ALWAYS), FINE).await;
    let function = world.function(OPENIM, ALWAYS).await;
    let callback = Sent::post("/openim/callbackAfterQuitGroupCommand", "", "{");
    assert_eq!(status(&function.invoke(callback.event(), TIME_LEFT).await), Some(400));
    assert_eq!(world.replay().await, 1);
    let kept = world.table.quarantined();
    assert_eq!([&kept[0]["code"], &kept[0]["raw"]], [&json!(40001), &json!("{")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_body_is_queued_in_parts() {
    let body = format!(
        r#"{{"CallbackCommand":"Group.CallbackAfterCreateGroup","GroupId":"g1","Name":"n","EventTime":1715049600123,"MemberList":[{}]}}"#,
        random_members(1_000_000)
    );
    let world = World::start((DOWN, ALWAYS), FINE).await;
    let function = world.function(TENCENT_CHAT, ALWAYS).await;
    let callback = Sent::post("/tencent-chat", "SdkAppid=1400000000", body);
    assert_eq!(status(&function.invoke(callback.event(), TIME_LEFT).await), Some(200));
    let messages = world.replay().await;
    let records = world.table.records();
    assert_eq!(records.len(), 1);
    assert_eq!(records[0]["raw_parts"], messages - 1, "a message for each part, and one for the record");
    assert!(records[0].get("change").is_none(), "what changed did not fit");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_replay_puts_back_what_it_cannot_write_and_nothing_else() {
    let world = World::start((DOWN, ALWAYS), FINE).await;
    let function = world.function(OPENIM, ALWAYS).await;
    assert_eq!(status(&function.invoke(change(OPENIM).event(), TIME_LEFT).await), Some(200));
    let Queues { client, fallback_queue, .. } = &world.queues;
    client.send_message().queue_url(fallback_queue).message_body("nonsense").send().await.unwrap();

    let replay = Function::start("replay", &world.table.settings(&[])).await;
    let invoke = |event: String| async {
        let event = event;
        let events: Value = serde_json::from_str(&event).unwrap();
        let bad = events["Records"].as_array().unwrap().iter().find(|record| record["body"] == "nonsense").unwrap();
        let answer = replay.invoke(event.clone(), REPLAY_TIME).await.body.unwrap();
        let failures = json!({ "batchItemFailures": [{ "itemIdentifier": bad["messageId"] }] });
        assert_eq!(serde_json::from_str::<Value>(&answer).unwrap(), failures);
        Ok(answer)
    };
    assert_eq!(event_source::poll(&world.queues, invoke).await.unwrap(), 2);
    assert_eq!(world.table.records().len(), 1);
    assert_eq!(world.queues.depth(fallback_queue).await.unwrap(), 1);
    assert!(!replay.kill().await.contains("nonsense"));

    // Where the table does not answer, or the time is over, everything is put back.
    let nowhere = world.table.settings(&[("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:1")]);
    for (settings, time_left) in [(&nowhere, 30_000), (&world.table.settings(&[]), 100)] {
        let replay = Function::start("replay", settings).await;
        let messages = [json!({ "messageId": "1", "body": sample() }), json!({ "messageId": "2", "body": sample() })];
        let event = json!({ "Records": messages }).to_string();
        let answer = replay.invoke(event, Duration::from_millis(time_left)).await.body.unwrap();
        let failures = json!({ "batchItemFailures": [{ "itemIdentifier": "1" }, { "itemIdentifier": "2" }] });
        assert_eq!(serde_json::from_str::<Value>(&answer).unwrap(), failures);
        // What is no batch fails as a whole.
        assert!(replay.invoke("{}".to_owned(), TIME_LEFT).await.body.is_none());
    }
}

/// An envelope's text.
pub(crate) fn sample() -> String {
    std::fs::read_to_string("tests/envelopes/record.txt").unwrap().trim().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters_go_back_into_the_fallback_queue() {
    let world = World::start(FINE, FINE).await;
    let Queues { client, dead_letters, fallback_queue, endpoint } = &world.queues;
    for _ in 0..12 {
        client.send_message().queue_url(dead_letters).message_body(sample()).send().await.unwrap();
    }
    let settings = world.table.settings(&[
        ("AWS_ENDPOINT_URL_SQS", endpoint),
        ("FALLBACK_QUEUE_URL", fallback_queue),
        ("DEAD_LETTER_QUEUE_URL", dead_letters),
    ]);
    let counted_before = cli::run(&settings, &["dead-letters"], "").await.succeeded();
    let said = cli::run(&settings, &["dead-letters", "redrive"], "").await.succeeded();
    let counted = |count: u32| format!("{count} dead letters, 0 in flight.");
    assert_eq!(counted_before, counted(12));
    assert_eq!(said, "12 dead letters are back in the fallback queue; 0 are left.");
    assert_eq!(world.queues.depth(dead_letters).await.unwrap(), 0);
    assert_eq!(world.replay().await, 12);
    assert_eq!(world.table.records().len(), 1, "twelve times the same callback");
}

/// A message that cannot be written is given up after its retries, and not lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_replay_cannot_write_becomes_a_dead_letter() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let mut definitions = Template::read().unwrap().queues().unwrap();
    definitions.fallback_queue.max_receive_count = Some(1);
    definitions.visibility_seconds = 1;
    let queues = queue::serve(listener, definitions).await.unwrap();
    queues.client.send_message().queue_url(&queues.fallback_queue).message_body("nonsense").send().await.unwrap();
    let table = Table::start().await;
    let replay = Function::start("replay", &table.settings(&[])).await;
    let given_up = async {
        while queues.depth(&queues.dead_letters).await.unwrap() == 0 {
            let invoke = |event| async { Ok(replay.invoke(event, REPLAY_TIME).await.body.unwrap()) };
            event_source::poll(&queues, invoke).await.unwrap();
        }
    };
    timeout(TEST_TIMEOUT, given_up).await.unwrap();
    assert_eq!(queues.depth(&queues.fallback_queue).await.unwrap(), 0);
}
