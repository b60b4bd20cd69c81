//! The circuit breaker in the built functions: what one hot group, a throttled table and a failed service cost the others,
//! and that it closes again.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::time::{interval, timeout};

use crate::reliability::{ALWAYS, FINE, TIME_LEFT, World, status};
use crate::support::fault::Fault;
use crate::support::lambda::Function;
use crate::support::{self, OPENIM, Sent, TEST_TIMEOUT};

/// As often as a write is tried.
const ATTEMPTS: usize = 3;
/// So many throttled groups are a throttled table.
const MANY_GROUPS: usize = 4;

/// Sends a change of a group, each a request of its own, which must be answered as success.
async fn change(function: &Function, group: &str) {
    static REQUESTS: AtomicUsize = AtomicUsize::new(0);
    let request = format!("request-{}", REQUESTS.fetch_add(1, Ordering::SeqCst));
    let body = json!({ "callbackCommand": "callbackAfterSetGroupInfoExCommand", "groupID": group }).to_string();
    let answer = function.invoke(Sent::post("/openim", "", body).request(&request).event(), TIME_LEFT).await;
    assert_eq!(status(&answer), Some(200), "{group}");
}

/// What became of each callback, by the function's log.
async fn outcomes(function: Function) -> Vec<String> {
    let log = function.kill().await;
    let callbacks = log.lines().filter(|line| line.contains(r#""message":"callback""#));
    let outcome = |line: &str| line.split(r#""outcome":""#).nth(1).unwrap().split('"').next().unwrap().to_owned();
    // The first is the check that the function has started.
    callbacks.map(outcome).skip(1).collect()
}

/// DynamoDB throttles the partition of one group, whether it says so or not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hot_group_sends_no_other_group_through_the_queue() {
    for fault in [
        Fault::Throttled("ThrottlingException", "TableWriteKeyRangeThroughputExceeded"),
        Fault::Throttled("ProvisionedThroughputExceededException", "TableWriteKeyRangeThroughputExceeded"),
        Fault::Answer(400, "ThrottlingException"),
        Fault::Answer(400, "ProvisionedThroughputExceededException"),
    ] {
        let world = World::start((fault, ALWAYS), FINE).await;
        world.to_ledger.only("openim#hot");
        let function = world.function(OPENIM, ALWAYS).await;
        for number in 0..10 {
            change(&function, "hot").await;
            change(&function, &format!("other-{number}")).await;
        }
        assert_eq!(world.table.records().len(), 10, "{fault:?}: each other group is recorded at once");
        // The hot group's first callback, and no other one, waits for DynamoDB.
        assert_eq!(world.to_ledger.requests(), ATTEMPTS + 10, "{fault:?}");
        assert_eq!(outcomes(function).await, ["queued", "recorded"].repeat(10), "{fault:?}");
        assert_eq!(world.replay().await, 10);
        assert_eq!(world.table.records().len(), 20, "{fault:?}");
    }
}

/// DynamoDB throttles one partition of the feed's index, which pushes back on the table's writes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_throttled_index_sends_no_other_record_through_the_queue() {
    let fault = Fault::Throttled("ThrottlingException", "IndexWriteKeyRangeThroughputExceeded");
    for (feed, is_throttled) in [("on", true), ("off", false)] {
        let world = World::start((fault, ALWAYS), FINE).await;
        // The end of a place's partition, as `2022-12-09#3`.
        world.to_ledger.only("#3\"");
        let function = world.function_with(OPENIM, ALWAYS, &[("FEED", feed)]).await;
        for number in 0..40 {
            change(&function, &format!("group-{number}")).await;
        }
        let outcomes = outcomes(function).await;
        let queued = outcomes.iter().filter(|outcome| *outcome == "queued").count();
        assert!(if is_throttled { (1..20).contains(&queued) } else { queued == 0 }, "{feed}: {outcomes:?}");
        assert_eq!(world.table.records().len(), 40 - queued, "{feed}: each other record is written at once");
        assert_eq!(world.replay().await, queued, "{feed}");
        assert_eq!(world.table.records().len(), 40, "{feed}: nothing is lost");
    }
}

/// Each of its groups would be throttled: the first few find out, and the others do not wait.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_throttled_table_costs_the_first_callbacks_and_no_others() {
    for (fault, groups) in [
        (Fault::Answer(400, "ThrottlingException"), MANY_GROUPS),
        (Fault::Throttled("ThrottlingException", "TableWriteMaxOnDemandThroughputExceeded"), 1),
        (Fault::Throttled("ProvisionedThroughputExceededException", "TableWriteAccountLimitExceeded"), 1),
        (Fault::Answer(400, "RequestLimitExceeded"), 1),
    ] {
        let world = World::start((fault, ALWAYS), FINE).await;
        let function = world.function(OPENIM, ALWAYS).await;
        for number in 0..20 {
            change(&function, &format!("group-{number}")).await;
        }
        assert_eq!(world.to_ledger.requests(), groups * ATTEMPTS, "{fault:?}");
        assert_eq!(outcomes(function).await, ["queued"].repeat(20), "{fault:?}");
        assert_eq!(world.replay().await, 20);
        assert_eq!(world.table.records().len(), 20, "{fault:?}");
    }
}

/// Not by way of the queue: the function itself records again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_circuit_breaker_closes_again() {
    for fault in [
        Fault::Answer(500, "InternalServerError"),
        Fault::Throttled("ThrottlingException", "TableWriteKeyRangeThroughputExceeded"),
    ] {
        let world = World::start((fault, ALWAYS), FINE).await;
        let function = world.function(OPENIM, ALWAYS).await;
        change(&function, "group").await;
        change(&function, "group").await;
        assert_eq!(world.to_ledger.requests(), ATTEMPTS, "{fault:?}: open");
        world.to_ledger.arm(0);
        let recorded = async {
            let mut ticks = interval(Duration::from_millis(100));
            while world.table.records().is_empty() {
                ticks.tick().await;
                change(&function, "group").await;
            }
        };
        timeout(TEST_TIMEOUT, recorded).await.unwrap();
        let before = world.table.records().len();
        for number in 0..5 {
            change(&function, &format!("group-{number}")).await;
        }
        assert_eq!(world.table.records().len(), before + 5, "{fault:?}: closed for all");
        assert_eq!(world.to_ledger.requests(), before + 5, "{fault:?}: one tried");
        let queued = outcomes(function).await.iter().filter(|outcome| *outcome == "queued").count();
        assert_eq!(world.replay().await, queued, "{fault:?}");
        assert_eq!(world.table.records().len(), before + 5 + queued, "{fault:?}: nothing is lost");
    }
}

/// Both stores hang: the first callback waits for each, and the others go straight to the log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_timed_out_is_left_alone_too() {
    let world = World::start((Fault::Hang, ALWAYS), (Fault::Hang, ALWAYS)).await;
    let function = world.function(OPENIM, ALWAYS).await;
    for _ in 0..20 {
        let answer = function.invoke(support::change(OPENIM).event(), TIME_LEFT).await;
        assert_eq!(status(&answer), Some(503));
    }
    assert!(world.to_fallback_queue.requests() <= ATTEMPTS, "{}", world.to_fallback_queue.requests());
    let log = function.kill().await;
    assert_eq!(log.matches(r#""message":"recover""#).count(), 20);
}

/// What had hardly any time says nothing of the queue.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_had_too_little_time_is_tried_again() {
    let world = World::start((Fault::Hang, ALWAYS), (Fault::Hang, ALWAYS)).await;
    let function = world.function(OPENIM, ALWAYS).await;
    for _ in 0..5 {
        let answer = function.invoke(support::change(OPENIM).event(), Duration::from_millis(400)).await;
        assert_eq!(status(&answer), Some(503));
    }
    assert!(world.to_fallback_queue.requests() > 1, "{}", world.to_fallback_queue.requests());
}
