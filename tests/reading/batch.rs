//! Many records at a time, while DynamoDB throttles.

use std::time::Instant;

use group_ledger::host::setup;
use group_ledger::settings::Settings;
use group_ledger::storage::call::{CallError, Scope};
use group_ledger::storage::read::{ReadError, text_of};

use super::sent;
use crate::support::fault::{Fault, Proxy, Transport};
use crate::support::{Table, local_settings};

/// A batch of which everything is throttled so often, the number of its items, and how long it took.
async fn read(table: &Table, throttled: usize) -> (Result<usize, ReadError>, u128, usize) {
    let proxy = Proxy::start(Transport::Plain, &table.endpoint, Fault::Unprocessed, throttled);
    let settings = local_settings(&proxy.endpoint);
    let store = setup::store(&Settings::new(&|name| settings.get(name).cloned())).unwrap();
    let items = table.items();
    let attribute = |item: &serde_json::Value, name| item[name]["S"].as_str().unwrap().to_owned();
    let keys: Vec<_> = items.iter().map(|item| (attribute(item, "group_key"), attribute(item, "change_key"))).collect();
    let start = Instant::now();
    let read = store.ledger().get_all(keys.iter().map(|(group, change)| (group.as_str(), change.as_str()))).await;
    let read = read.inspect(|read| assert!(read.iter().all(|item| text_of(item, "digest").is_some())));
    (read.map(|items| items.len()), start.elapsed().as_millis(), proxy.requests())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_throttled_batch_is_asked_for_again_after_longer_and_longer_waits() {
    let table = sent().await;
    let count = table.items().len();
    let (read_, millis, requests) = read(&table, 3).await;
    assert_eq!((read_.unwrap(), requests), (count, 4));
    assert!(millis >= 25 + 50 + 100, "{millis} ms");
    let (failed, _, requests) = read(&table, usize::MAX).await;
    let is_throttled = |error| matches!(error, ReadError::Call(CallError::Throttled { scope: Scope::Unknown, .. }));
    assert!(failed.is_err_and(is_throttled) && requests == 7, "{requests} requests");
}
