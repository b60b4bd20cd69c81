//! What the page costs its reader: `make bench` runs it, with the receivers and the reader as they are deployed.

#![allow(clippy::print_stdout, reason = "figures")]

use std::fs;
use std::time::Duration;

use group_ledger::domain::record::Record;
use group_ledger::domain::timestamp::Timestamp;
use group_ledger::storage::envelope::Envelope;
use serde_json::Value;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::driver::{Browser, View};
use super::{open, stack};
use crate::local::{Stack, info_changed};
use crate::reliability::sample;
use crate::support::{OPENIM, local_settings, receiver, send};

/// How often the page is opened.
const OPENINGS: usize = 7;
/// The changes of the long group.
const CHANGES: usize = 10_000;
/// The changes a second of the busy feed, and for how long.
const RATE: u64 = 50;
const SECONDS: u64 = 20;

const GROUP: &str = "openim#openim#long";

/// Notes each task that keeps the page from answering for 50 ms or more. <https://www.w3.org/TR/longtasks/>
const NOTE_LONG_TASKS: &str = "
    globalThis.tasks = [];
    new PerformanceObserver(list => tasks.push(...list.getEntries().map(task => task.duration)))
        .observe({ type: 'longtask', buffered: true });";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "make bench"]
async fn the_page() {
    let mut figures = vec!["| | p50 | worst |".to_owned(), "| --- | --- | --- |".to_owned()];
    let (mut paints, mut lists) = (Vec::new(), Vec::new());
    for _ in 0..OPENINGS {
        let (paint, list) = first_opening().await;
        paints.push(paint);
        lists.push(list);
    }
    figures.push(row("first paint from a reader that has served nothing yet, ms", paints));
    figures.push(row("from opening the page to the newest 50 changes, ms", lists));
    figures.extend(long_group().await);
    figures.extend(busy_feed().await);
    let figures = figures.join("\n");
    println!("{figures}");
    fs::write("docs/performance/page.md", figures + "\n").unwrap();
}

fn row(what: &str, mut values: Vec<f64>) -> String {
    values.sort_by(f64::total_cmp);
    format!("| {what} | {:.0} | {:.0} |", values[values.len() / 2], values[values.len() - 1])
}

async fn end(stack: Stack) {
    stack.signal("-INT", true).await;
    stack.end().await;
}

/// The time of the first paint, and of the list, of a page on a new stack with 200 changes.
async fn first_opening() -> (f64, f64) {
    let stack = stack().await;
    for number in 0..200 {
        let time = Timestamp::now().unix_millis() + number;
        send(stack.ports[0], &info_changed(&format!("@TGS#{}", number % 7), time)).await.unwrap();
    }
    let browser = Browser::open(View::DESKTOP).await;
    open(&browser, &stack, "").await;
    let paint = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime";
    let paint = browser.wait_until(paint).await.as_f64().unwrap();
    let list = browser.wait_until("document.querySelectorAll('.changes > li').length >= 50 && performance.now()").await;
    end(stack).await;
    (paint, list.as_f64().unwrap())
}

/// A group of many changes, scrolled to its beginning.
async fn long_group() -> Vec<String> {
    let stack = stack().await;
    let settings = local_settings(&format!("http://127.0.0.1:{}", stack.ports[1]));
    let ledger = receiver(OPENIM, &settings).unwrap().store().ledger().clone();
    let Envelope::Record(sample) = Envelope::from_text(&sample()).unwrap().remove(0) else { panic!("no record") };
    let begins = Timestamp::now().plus_millis(-30 * 24 * 60 * 60 * 1_000);
    for number in 0..CHANGES {
        let at = begins.plus_millis(i64::try_from(number).unwrap() * 250_000);
        let record = Record {
            group_key: GROUP.to_owned(),
            digest: format!("{:016x}{number:048x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
            occurred_at: at,
            expires_at: None,
            ..sample.clone()
        };
        ledger.write(&[Envelope::Record(record)], Duration::from_mins(1)).await.unwrap();
    }
    let browser = Browser::open(View::DESKTOP).await;
    let start = Instant::now();
    open(&browser, &stack, &format!("#/group/{}", GROUP.replace('#', "%23"))).await;
    browser.evaluate(NOTE_LONG_TASKS).await;
    browser.wait_for(".history .changes > li").await;
    let shown = start.elapsed();
    let begin = "scrollTo(0, document.documentElement.scrollHeight), document.querySelector('.end:not([hidden])')";
    let start = Instant::now();
    while browser.evaluate(&format!("return {begin} !== null;")).await == false {
        sleep(Duration::from_millis(50)).await;
        assert!(start.elapsed() < Duration::from_mins(5), "the history does not end");
    }
    let scrolled = start.elapsed();
    let rows = browser.evaluate("return document.querySelectorAll('.history .changes > li').length;").await;
    assert_eq!(rows, CHANGES);
    // Up and down again, with all of it on the page.
    for fraction in [0.0, 0.5, 0.25, 0.75, 1.0] {
        let to = format!("scrollTo(0, document.documentElement.scrollHeight * {fraction});");
        browser.evaluate(&format!("{to} return new Promise(requestAnimationFrame);")).await;
    }
    let tasks = browser.evaluate("return tasks;").await;
    end(stack).await;
    vec![
        String::new(),
        format!(
            "A group of {CHANGES} changes: on the page after {:.1} s; scrolled to its beginning, {CHANGES} rows, in",
            shown.as_secs_f64()
        ),
        format!("{:.1} s; {}.", scrolled.as_secs_f64(), long_tasks(&tasks)),
    ]
}

fn long_tasks(tasks: &Value) -> String {
    let tasks: Vec<f64> = tasks.as_array().unwrap().iter().map(|task| task.as_f64().unwrap()).collect();
    let worst = tasks.iter().copied().fold(0.0, f64::max);
    format!("tasks over 50 ms: {}, the longest {worst:.0} ms", tasks.len())
}

/// The feed while it grows quickly.
async fn busy_feed() -> Vec<String> {
    let stack = stack().await;
    send(stack.ports[0], &info_changed("@TGS#first", Timestamp::now().unix_millis())).await.unwrap();
    let browser = Browser::open(View::DESKTOP).await;
    open(&browser, &stack, "").await;
    browser.wait_for(".changes > li").await;
    // When each change comes into the list.
    let note = "
        globalThis.seen = new Map();
        new MutationObserver(records => records.forEach(record => record.addedNodes.forEach(node => {
            const items = node.matches?.('li') ? [node] : [...node.querySelectorAll?.('li') ?? []];
            items.forEach(({ dataset: { key } }) => seen.set(key, seen.get(key) ?? Date.now() - Date.parse(key.split('#')[0])));
        }))).observe(document.querySelector('.content'), { childList: true, subtree: true });";
    browser.evaluate(&format!("{note} {NOTE_LONG_TASKS}")).await;
    let mut ticks = interval(Duration::from_millis(1_000 / RATE));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let port = stack.ports[0];
    let begin = Instant::now();
    for number in 0..RATE * SECONDS {
        ticks.tick().await;
        let time = Timestamp::now().unix_millis();
        send(port, &info_changed(&format!("@TGS#busy-{}", number % 50), time)).await.unwrap();
    }
    let took = begin.elapsed();
    let count = RATE * SECONDS;
    browser.wait_until(&format!("seen.size >= {count}")).await;
    let seen = browser.evaluate("return [[...seen.values()], tasks];").await;
    let lags = seen[0].as_array().unwrap().iter().map(|lag| lag.as_f64().unwrap()).collect();
    end(stack).await;
    vec![
        String::new(),
        format!(
            "{count} changes in {:.0} s, {RATE} a second, while the page is open: {}.",
            took.as_secs_f64(),
            long_tasks(&seen[1])
        ),
        String::new(),
        "| | p50 | worst |".to_owned(),
        "| --- | --- | --- |".to_owned(),
        row("from a change's callback to its line on the page, ms", lags),
    ]
}
