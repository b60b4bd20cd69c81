//! What a callback costs before anything is stored: verify, decode, the record with its key, digest and raw
//! body, and the answer.
//!
//! `typical` is one callback of about 300 bytes a platform; `body` grows one from 300 bytes to 1 MiB.

#![allow(clippy::panic, clippy::unwrap_used, missing_docs, reason = "a benchmark")]

use std::hint::black_box;

use criterion::{AxisScale, BenchmarkId, Criterion, PlotConfiguration, Throughput, criterion_group, criterion_main};
use group_ledger::domain::change::{Detail, GroupChange, Kind};
use group_ledger::domain::record::Record;
use group_ledger::domain::request::Request;
use group_ledger::domain::timestamp::Timestamp;
use group_ledger::host::event::{Event, response};
use group_ledger::ingest::receive::read;
use group_ledger::platform::openim::OpenIm;
use group_ledger::platform::tencent_chat::TencentChat;
use group_ledger::platform::{Decoded, Platform};
use group_ledger::settings::Settings;
use serde_json::json;

/// The token of the published example, which the signed sample event is signed with.
const TOKEN: &str = "xxxxyyyy";

fn platform<P: Platform>() -> P {
    let settings = |name: &str| {
        let value = match name {
            "TENCENT_SDK_APP_ID" => "1400000000",
            "TENCENT_CALLBACK_TOKENS" => TOKEN,
            "OPENIM_ALLOW_ANONYMOUS" => "true",
            _ => return None,
        };
        Some(value.to_owned())
    };
    P::from_settings(&Settings::new(&settings)).unwrap()
}

/// An event as API Gateway makes it, with the given body.
fn event(path: &str, query: &str, body: &str) -> String {
    json!({
        "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": query,
        "headers": { "content-type": "application/json", "operationid": "op-1", "host": "abcdefghij.execute-api.us-east-1.amazonaws.com" },
        "requestContext": {
            "http": { "method": "POST", "path": path, "sourceIp": "203.0.113.7" },
            "requestId": "JKJaXmPLvHcESHA=", "timeEpoch": 1_669_872_112_345_i64,
        },
        "body": body, "isBase64Encoded": false,
    })
    .to_string()
}

const TENCENT_QUERY: &str = "SdkAppid=1400000000&CallbackCommand=Group.CallbackAfterCreateGroup&contenttype=json&ClientIP=203.0.113.7&OptPlatform=RESTAPI&Sign=17773bc39a671d7b9aa835458704d2a6db81360a5940292b587d6d760d484061&RequestTime=1669872112";

const CREATE_GROUP: &str = r#"{"CallbackCommand":"Group.CallbackAfterCreateGroup","EventTime":1669872112042,"GroupId":"@TGS#2QX7PLM4K","Name":"Trail runners","Operator_Account":"admin01","Owner_Account":"u_wei","Type":"Public","UserDefinedDataList":[{"Key":"Region","Value":"eu-1"}],"MemberList":["#;

/// How many members make about `bytes`.
fn members(bytes: usize) -> usize {
    (bytes - CREATE_GROUP.len()) / 30
}

/// A create callback with as many members as make about `bytes`.
fn create_group(bytes: usize) -> String {
    let members: Vec<String> =
        (0..).map(|number| format!(r#"{{"Member_Account":"u{number:07}"}}"#)).take(members(bytes)).collect();
    format!("{CREATE_GROUP}{}]}}", members.join(","))
}

/// What a callback says; it must be a change.
fn change<'r, P: Platform>(platform: &P, request: &'r Request<'_>) -> GroupChange<'r> {
    match read(platform, request) {
        Ok(Decoded::Change(change)) => change,
        _ => panic!("a callback of {} is no change", P::NAME),
    }
}

/// Holds a created group against what was sent.
fn assert_created(change: &GroupChange<'_>, bytes: usize) {
    assert_eq!((change.kind, &*change.group_id), (Kind::GroupCreated, "@TGS#2QX7PLM4K"));
    assert_eq!(change.operator.as_deref(), Some("admin01"));
    let decoded = change.details.iter().find_map(|(_, detail)| match detail {
        Detail::Ids(ids) => Some(ids.len()),
        _ => None,
    });
    assert_eq!(decoded, Some(members(bytes)), "members");
}

fn typical(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("typical");
    let tencent_chat = event("/tencent-chat", TENCENT_QUERY, &create_group(300));
    let openim = r#"{"callbackCommand":"callbackAfterSetGroupInfoExCommand","operationID":"","groupID":"2559562921","groupName":"NewGroupName","notification":"","introduction":null,"faceURL":null,"ex":null,"needVerification":null,"lookMemberInfo":null,"applyMemberFriend":null}"#;
    let openim = event("/openim/callbackAfterSetGroupInfoExCommand", "", openim);
    all_steps::<TencentChat>(&mut group, &tencent_chat, |change| assert_created(change, 300));
    all_steps::<OpenIm>(&mut group, &openim, |change| {
        assert_eq!((change.kind, &*change.group_id), (Kind::GroupInfoChanged, "2559562921"));
        assert!(change.details.iter().any(|(_, detail)| *detail == Detail::Text("NewGroupName".into())));
    });
    group.finish();
}

/// The request that an event describes.
fn http_request(event: &str) -> http::Request<bytes::Bytes> {
    let event: Event = serde_json::from_str(event).unwrap();
    event.into_request(Timestamp::now(), None).unwrap()
}

fn all_steps<P: Platform>(
    group: &mut criterion::BenchmarkGroup<'_, criterion::measurement::WallTime>,
    text: &str,
    assert_is_right: impl Fn(&GroupChange<'_>),
) {
    let platform = platform::<P>();
    let sent = http_request(text);
    let request = Request::of(&sent, Timestamp::now());
    assert!(platform.verify(&request).is_ok());
    assert_is_right(&change(&platform, &request));
    group.bench_function(BenchmarkId::new("event", P::NAME), |bencher| {
        bencher.iter(|| http_request(black_box(text)));
    });
    group.bench_function(BenchmarkId::new("verify", P::NAME), |bencher| {
        bencher.iter(|| black_box(platform.verify(black_box(&request)).is_ok()));
    });
    group.bench_function(BenchmarkId::new("verify and decode", P::NAME), |bencher| {
        bencher.iter(|| black_box(read(&platform, black_box(&request)).is_ok()));
    });
    group.bench_function(BenchmarkId::new("verify, decode and record", P::NAME), |bencher| {
        bencher.iter(|| to_record(&platform, black_box(&request)));
    });
    group.bench_function(BenchmarkId::new("all but the store", P::NAME), |bencher| {
        bencher.iter(|| {
            let sent = http_request(black_box(text));
            let request = Request::of(&sent, Timestamp::now());
            to_record(&platform, &request);
            let answer = http::Response::new(P::respond(Some(&request), None).into_owned());
            black_box(serde_json::to_string(&response(answer)).unwrap());
        });
    });
}

fn to_record<P: Platform>(platform: &P, request: &Request<'_>) {
    let change = change(platform, request);
    black_box(Record::new(P::NAME, platform.app_id(), change, request, None).change_key());
}

fn body(criterion: &mut Criterion) {
    let platform = platform::<TencentChat>();
    let mut group = criterion.benchmark_group("body");
    group.plot_config(PlotConfiguration::default().summary_scale(AxisScale::Logarithmic)).sample_size(20);
    for bytes in [300, 1024, 4096, 16 * 1024, 64 * 1024, 256 * 1024, 1024 * 1024] {
        let text = event("/tencent-chat", TENCENT_QUERY, &create_group(bytes));
        let sent = http_request(&text);
        let request = Request::of(&sent, Timestamp::now());
        assert_created(&change(&platform, &request), bytes);
        group.throughput(Throughput::Bytes(request.body.len() as u64));
        group.bench_function(BenchmarkId::new("verify and decode", bytes), |bencher| {
            bencher.iter(|| black_box(read(&platform, black_box(&request)).is_ok()));
        });
    }
    group.finish();
}

criterion_group!(benches, typical, body);
criterion_main!(benches);
