//! What a callback costs before anything is stored: verify, parse, decode, the record with its key, digest and raw
//! body, and the answer.
//!
//! `typical` is one callback of about 300 bytes a platform; `body` grows one from 300 bytes to 1 MiB.

#![allow(clippy::panic, clippy::unwrap_used, missing_docs, reason = "a benchmark")]

#[allow(dead_code, reason = "the comparison sends more")]
#[path = "../../compare/src/event.rs"]
mod event;

use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use criterion::measurement::WallTime;
use criterion::{
    AxisScale, BenchmarkGroup, BenchmarkId, Criterion, PlotConfiguration, Throughput, criterion_group, criterion_main,
};
use group_ledger::domain::callback::Callback;
use group_ledger::domain::change::{Detail, GroupChange, Kind};
use group_ledger::domain::record::Record;
use group_ledger::domain::request::Request;
use group_ledger::domain::timestamp::Timestamp;
use group_ledger::host::lambda::event::{Event, response};
use group_ledger::ingest::read;
use group_ledger::platform::{Decoded, Platform, Registration, openim, tencent_chat};
use group_ledger::settings::Settings;

/// Members whose callbacks have about 300 bytes, 1, 4, 16, 64 and 256 KiB, and 1 MiB.
const MEMBERS: [usize; 7] = [1, 24, 127, 536, 2_175, 8_728, 34_900];

fn platform(registration: &Registration) -> Box<dyn Platform> {
    let settings = |name: &str| {
        let value = match name {
            "TENCENT_SDK_APP_ID" => event::APP_ID,
            "TENCENT_CALLBACK_TOKENS" => event::TOKEN,
            "OPENIM_ALLOW_ANONYMOUS" => "true",
            _ => return None,
        };
        Some(value.to_owned())
    };
    (registration.from_settings)(&Settings::new(&settings)).unwrap()
}

/// The request that an event describes.
fn http_request(event: &str) -> http::Request<Bytes> {
    let event: Event = serde_json::from_str(event).unwrap();
    event.into_request(Timestamp::now(), None).unwrap()
}

/// The callback of a request, which must be genuine.
fn callback<'r>(platform: &dyn Platform, request: &'r Request<'_>) -> Callback<'r> {
    read::parse(platform, read::verify(platform, request).unwrap().unwrap()).0
}

/// What a callback says; it must be a change.
fn change<'c>(platform: &dyn Platform, callback: &'c Callback<'_>) -> GroupChange<'c> {
    match read::decode(platform, callback) {
        Ok(Decoded::Change(change)) => change,
        _ => panic!("a callback of {} is no change", platform.name()),
    }
}

fn read(platform: &dyn Platform, request: &Request<'_>) {
    black_box(change(platform, &callback(platform, request)));
}

fn read_and_record(platform: &dyn Platform, request: &Request<'_>) {
    let callback = callback(platform, request);
    let change = change(platform, &callback);
    black_box(Record::new(platform.name(), platform.app_id(), change, &callback, None).change_key());
}

/// Compares a created group with what was sent.
fn assert_created(change: &GroupChange<'_>, members: usize) {
    assert_eq!((change.kind, &*change.group_id), (Kind::GroupCreated, "@TGS#2QX7PLM4K"));
    assert_eq!(change.operator.as_deref(), Some("admin01"));
    let decoded = change.details.iter().find_map(|(_, detail)| match detail {
        Detail::Ids(ids) => Some(ids.len()),
        _ => None,
    });
    assert_eq!(decoded, Some(members), "members");
}

fn assert_renamed(change: &GroupChange<'_>) {
    assert_eq!((change.kind, &*change.group_id), (Kind::GroupInfoChanged, "2559562921"));
    assert!(change.details.iter().any(|(_, detail)| *detail == Detail::Text("NewGroupName".into())));
}

fn typical(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("typical");
    all_steps(&mut group, &tencent_chat::REGISTRATION, &event::create_group(1), |change| assert_created(change, 1));
    all_steps(&mut group, &openim::REGISTRATION, &event::set_group_info(), assert_renamed);
    group.finish();
}

fn all_steps(
    group: &mut BenchmarkGroup<'_, WallTime>,
    registration: &Registration,
    event: &str,
    assert_is_right: impl Fn(&GroupChange<'_>),
) {
    let (platform, name) = (&*platform(registration), registration.name);
    let sent = http_request(event);
    let request = Request::of(&sent, Timestamp::now());
    assert_is_right(&change(platform, &callback(platform, &request)));
    group.bench_function(BenchmarkId::new("event", name), |bencher| {
        bencher.iter(|| http_request(black_box(event)));
    });
    group.bench_function(BenchmarkId::new("verify", name), |bencher| {
        bencher.iter(|| black_box(read::verify(platform, black_box(&request)).is_ok()));
    });
    group.bench_function(BenchmarkId::new("verify, parse and decode", name), |bencher| {
        bencher.iter(|| read(platform, black_box(&request)));
    });
    group.bench_function(BenchmarkId::new("verify, parse, decode and record", name), |bencher| {
        bencher.iter(|| read_and_record(platform, black_box(&request)));
    });
    group.bench_function(BenchmarkId::new("all but the store", name), |bencher| {
        bencher.iter(|| {
            let sent = http_request(black_box(event));
            let request = Request::of(&sent, Timestamp::now());
            read_and_record(platform, &request);
            black_box(serde_json::to_string(&response(platform.respond(Some(&request), Ok(())))).unwrap());
        });
    });
}

fn body(criterion: &mut Criterion) {
    let platform = &*platform(&tencent_chat::REGISTRATION);
    let mut group = criterion.benchmark_group("body");
    group.plot_config(PlotConfiguration::default().summary_scale(AxisScale::Logarithmic)).sample_size(20);
    for members in MEMBERS {
        let sent = http_request(&event::create_group(members));
        let request = Request::of(&sent, Timestamp::now());
        assert_created(&change(platform, &callback(platform, &request)), members);
        group.throughput(Throughput::Bytes(request.body.len() as u64));
        group.bench_function(BenchmarkId::new("verify, parse and decode", request.body.len()), |bencher| {
            bencher.iter(|| read(platform, black_box(&request)));
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    // Shorter than criterion's defaults: the medians are read to two digits.
    config = Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(2))
        .nresamples(10_000);
    targets = typical, body
}
criterion_main!(benches);
