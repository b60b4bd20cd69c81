//! Reading: the routes of the API over an embedded DynamoDB, and that a walk by cursors sees every record once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, to_bytes};
use group_ledger::domain::timestamp::Timestamp;
use group_ledger::host::setup;
use group_ledger::reading::api::{description, router};
use group_ledger::settings::Settings;
use http::{HeaderMap, Request};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower::ServiceExt as _;

use crate::support::{OPENIM, Sent, TENCENT_CHAT, Table, assert_answer, local_settings, random_members};

mod batch;
mod bench;
pub(crate) mod feed;
mod page;
mod state;
mod walks;

const TOKEN: &str = "0123456789abcdef";
const GROUP: &str = "tencent-chat%231400000000%23%40TGS%232J4SZEAEL";

/// The API over a table at `endpoint`.
fn api_at(endpoint: &str) -> Router {
    let mut settings = local_settings(endpoint);
    settings.insert("READER_TOKENS".to_owned(), format!("audit:{TOKEN}"));
    router(Arc::new(setup::reader(&Settings::new(&|name| settings.get(name).cloned())).unwrap()))
}

pub(crate) fn api(table: &Table) -> Router {
    api_at(&table.endpoint)
}

fn a_week_ago() -> Timestamp {
    Timestamp::now().plus_millis(-7 * 24 * 60 * 60 * 1_000)
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{}", self.body))
    }
}

async fn send(api: &Router, request: Request<Body>) -> Answer {
    let (parts, body) = api.clone().oneshot(request).await.unwrap().into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    Answer { status: parts.status.as_u16(), headers: parts.headers, body: String::from_utf8(body.to_vec()).unwrap() }
}

fn request(path: &str) -> http::request::Builder {
    Request::get(path).header("authorization", format!("Bearer {TOKEN}"))
}

pub(crate) async fn get(api: &Router, path: &str) -> Answer {
    send(api, request(path).body(Body::empty()).unwrap()).await
}

/// What a list has, from its first page to its last.
async fn walk(api: &Router, path: &str, name: &str, cursor: &str) -> Vec<Value> {
    let (mut items, mut next) = (Vec::new(), None::<String>);
    loop {
        let path = next.map_or_else(|| path.to_owned(), |next| format!("{path}&{cursor}={next}"));
        let answer = get(api, &path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        let mut page = answer.json();
        items.append(page[name].as_array_mut().unwrap());
        if page["more"] == false {
            return items;
        }
        next = Some(page["next"].as_str().unwrap().to_owned());
    }
}

/// A group that is created and renamed, a change of another one, and a callback that is not understood.
async fn sent() -> Table {
    let table = Table::start().await;
    let receiver = table.receiver(TENCENT_CHAT, &[]);
    let (query, group) = ("SdkAppid=1400000000&ClientIP=203.0.113.7", "@TGS#2J4SZEAEL");
    for body in [
        json!({ "CallbackCommand": "Group.CallbackAfterCreateGroup", "GroupId": group, "Operator_Account": "group_root",
            "Owner_Account": "leckie", "Type": "Public", "Name": "MyFirstGroup", "EventTime": 1_670_574_414_123_i64,
            "MemberList": [{ "Member_Account": "bob" }] }),
        json!({ "CallbackCommand": "Group.CallbackAfterGroupInfoChanged", "GroupId": group, "Type": "Public",
            "Operator_Account": "leckie", "Notification": "", "EventTime": 1_670_574_500_000_i64 }),
    ] {
        assert_answer(
            TENCENT_CHAT,
            &Sent::post("/tencent-chat", query, body.to_string()).to(&receiver).await,
            200,
            "sent",
        );
    }
    let openim = table.receiver(OPENIM, &[]);
    let body = r#"{"callbackCommand":"callbackAfterQuitGroupCommand","groupID":"g1","quitUserID":"u1"}"#;
    assert_answer(OPENIM, &Sent::post("/openim", "", body).to(&openim).await, 200, "sent");
    assert_answer(OPENIM, &Sent::post("/openim/callbackAfterQuitGroupCommand", "", "{").to(&openim).await, 400, "sent");
    table
}

#[tokio::test]
async fn a_history_is_what_happened_to_a_group_in_order() {
    let table = sent().await;
    let api = api(&table);
    let answer = get(&api, &format!("/ledger/v1/history?group_key={GROUP}")).await;
    assert_eq!((answer.status, &answer.headers["content-type"]), (200, &"application/json".parse().unwrap()));
    let history = answer.json();
    assert_eq!([&history["more"], &history["next"]], [&json!(false), &Value::Null]);
    let changes = history["changes"].as_array().unwrap();
    assert_eq!(changes.len(), 2);
    let first = changes[0].as_object().unwrap();
    let names = [
        "app_id",
        "change",
        "change_key",
        "command",
        "digest",
        "group_id",
        "group_key",
        "group_type",
        "kind",
        "occurred_at",
        "occurred_at_source",
        "operator",
        "platform",
        "received_at",
        "recorded_at",
        "request_id",
        "source",
    ];
    assert!(first.keys().eq(names), "{first:?}");
    assert_eq!(first["change"], json!({ "members": ["bob"], "name": "MyFirstGroup", "owner": "leckie" }));
    assert_eq!(first["source"], json!({ "client_ip": "203.0.113.7" }));
    assert_eq!(changes[1]["change"], json!({ "notification": "" }));

    for (query, kinds) in [
        ("&order=desc", &["group.info_changed", "group.created"][..]),
        ("&from=2022-12-09T08:28:20Z", &["group.info_changed"]),
        ("&until=2022-12-09T08:28:20Z", &["group.created"]),
        ("&until=2022-12-09T16:28:20.001%2B08:00", &["group.created", "group.info_changed"]),
        ("&from=2022-12-09T08:26:54.123Z&until=2022-12-09T08:26:54.124Z", &["group.created"]),
        ("&from=2022-12-09T08:26:54.124Z&until=2022-12-09T08:26:54.124Z", &[]),
        ("&kind=group.created", &["group.created"]),
        ("&kind=member.*", &[]),
        ("&kind=member.*&kind=group.*", &["group.created", "group.info_changed"]),
        ("&operator=leckie", &["group.info_changed"]),
        ("&operator=leckie&kind=group.created", &[]),
    ] {
        let answer = get(&api, &format!("/ledger/v1/history?group_key={GROUP}{query}")).await.json();
        let found: Vec<&str> =
            answer["changes"].as_array().unwrap().iter().map(|change| change["kind"].as_str().unwrap()).collect();
        assert_eq!(found, kinds, "{query}");
    }
    let by_parts = "/ledger/v1/history?platform=tencent-chat&app_id=1400000000&group_id=%40TGS%232J4SZEAEL";
    assert_eq!(get(&api, by_parts).await.json(), history);
}

#[tokio::test]
async fn a_change_has_its_body() {
    let table = sent().await;
    let record = &table.records()[1];
    let key = record["change_key"].as_str().unwrap().replace('#', "%23");
    let answer = get(&api(&table), &format!("/ledger/v1/change?group_key={GROUP}&change_key={key}")).await.json();
    for name in ["kind", "change", "digest", "operator", "raw"] {
        assert_eq!(answer[name], record[name], "{name}");
    }
    let missing = get(&api(&table), &format!("/ledger/v1/change?group_key={GROUP}&change_key=x")).await;
    assert_eq!((missing.status, &missing.headers["content-type"]), (404, &"application/problem+json".parse().unwrap()));
}

/// A body of another form is told in base64; what no item had room for is decoded again.
#[tokio::test]
async fn a_large_change_is_whole() {
    let table = Table::start().await;
    let receiver = table.receiver(TENCENT_CHAT, &[]);
    let members = random_members(700_000);
    let body = format!(
        r#"{{"CallbackCommand":"Group.CallbackAfterCreateGroup","GroupId":"g1","Name":"n","EventTime":1715049600123,"MemberList":[{members}]}}"#
    );
    Sent::post("/tencent-chat", "SdkAppid=1400000000", body.clone()).to(&receiver).await;
    let record = &table.records()[0];
    assert!(record.get("change").is_none(), "an item has no room for it");
    let api = api(&table);
    let history = get(&api, "/ledger/v1/history?group_key=tencent-chat%231400000000%23g1").await.json();
    let count = members.matches("Member_Account").count();
    assert_eq!(history["changes"][0]["change"]["members"].as_array().unwrap().len(), count);
    let key = record["change_key"].as_str().unwrap().replace('#', "%23");
    let change =
        get(&api, &format!("/ledger/v1/change?group_key=tencent-chat%231400000000%23g1&change_key={key}")).await;
    assert_eq!(change.json()["raw"], body);
    let feed = get(&api, "/ledger/v1/feed?settle=0&details=true").await.json();
    assert_eq!(feed["changes"][0]["change"]["members"].as_array().unwrap().len(), count);
}

/// The replay may write a record before the parts of its body, and DynamoDB may delete a part first.
#[tokio::test]
async fn a_body_whose_part_is_missing_hides_nothing_else() {
    let table = Table::start().await;
    let members = random_members(1_000_000);
    let body = format!(
        r#"{{"CallbackCommand":"Group.CallbackAfterCreateGroup","GroupId":"g1","Name":"n","EventTime":1715049600123,"MemberList":[{members}]}}"#
    );
    let receiver = table.receiver(TENCENT_CHAT, &[]);
    Sent::post("/tencent-chat", "SdkAppid=1400000000", body.clone()).to(&receiver).await;
    // One that is not understood, with as large a body.
    let broken = Sent::post("/tencent-chat", "SdkAppid=1400000000", body.replace("\"g1\"", "[]"));
    broken.to(&receiver).await;
    let items = table.items();
    let parts: Vec<_> =
        items.iter().filter(|item| item["group_key"]["S"].as_str().unwrap().starts_with("raw#")).collect();
    assert!(parts.len() >= 2, "both bodies are in parts");
    for item in parts {
        let key = ["group_key", "change_key"].map(|name| (name.to_owned(), item[name].clone()));
        table.delete(&key.into_iter().collect());
    }
    let api = api(&table);
    let key = table.records()[0]["change_key"].as_str().unwrap().replace('#', "%23");
    let group = "group_key=tencent-chat%231400000000%23g1";
    for path in [format!("history?{group}"), "feed?settle=0&details=true".to_owned()] {
        let changes = get(&api, &format!("/ledger/v1/{path}")).await.json()["changes"].clone();
        assert_eq!((changes.as_array().unwrap().len(), changes[0].get("change").is_none()), (1, true), "{path}");
    }
    let change = get(&api, &format!("/ledger/v1/change?{group}&change_key={key}")).await;
    assert_eq!((change.status, change.json().get("raw").is_none()), (200, true));
    let quarantined = get(&api, "/ledger/v1/quarantine?day=2024-05-07").await.json();
    assert_eq!(
        [&quarantined["quarantined"][0]["code"], &quarantined["quarantined"][0]["raw"]],
        [&json!(40004), &Value::Null]
    );
}

/// A version that was rolled back may have written a kind that this one does not know.
#[tokio::test]
async fn an_unknown_kind_hides_nothing_else() {
    let table = sent().await;
    let mut item = table.items().into_iter().find(|item| item["kind"]["S"] == "group.info_changed").unwrap();
    item["kind"] = json!({ "S": "group.frozen" });
    table.put(&item);
    let api = api(&table);
    for path in
        [format!("history?group_key={GROUP}"), "feed?settle=0".to_owned(), "feed?settle=0&details=true".to_owned()]
    {
        let changes = get(&api, &format!("/ledger/v1/{path}")).await.json()["changes"].clone();
        assert_eq!(changes[1]["kind"], "group.frozen", "{path}");
    }
}

/// A link is followed as it is, in either order, to where the first page began.
#[tokio::test]
async fn links_lead_to_the_end() {
    let table = sent().await;
    let api = api(&table);
    for order in ["asc", "desc"] {
        let from = Timestamp::now().plus_millis(-3 * 24 * 60 * 60 * 1_000);
        let mut path = format!("/ledger/v1/feed?order={order}&settle=0&limit=1&format=ndjson&from={from}");
        let mut lines = 0;
        loop {
            let answer = get(&api, &path).await;
            lines += answer.body.lines().count();
            let link = answer.headers["link"].to_str().unwrap();
            if !link.ends_with("; more") {
                break;
            }
            path = link.trim_start_matches('<').split('>').next().unwrap().to_owned();
        }
        assert_eq!(lines, 3, "{order}");
    }
}

#[tokio::test]
async fn the_feed_has_every_group_in_the_order_of_writing() {
    let table = sent().await;
    let api = api(&table);
    let kinds = |answer: &Value| -> Vec<String> {
        answer["changes"].as_array().unwrap().iter().map(|change| change["kind"].as_str().unwrap().to_owned()).collect()
    };
    let feed = get(&api, "/ledger/v1/feed?settle=0").await.json();
    assert_eq!(kinds(&feed), ["group.created", "group.info_changed", "member.left"]);
    assert!(feed["changes"][0].get("change").is_none() && feed["changes"][0]["recorded_at"].is_string());
    assert_eq!((&feed["more"], feed["next"].is_string()), (&json!(false), true));
    // Nothing has settled yet.
    let feed = get(&api, "/ledger/v1/feed").await.json();
    assert_eq!((kinds(&feed).len(), &feed["more"], feed["next"].is_string()), (0, &json!(false), true));
    let week = format!("settle=0&limit=1000&from={}", a_week_ago());
    for (query, expected) in [
        ("order=desc", &["member.left", "group.info_changed", "group.created"][..]),
        ("settle=0&kind=group.*", &["group.created", "group.info_changed"]),
        ("settle=0&platform=openim", &["member.left"]),
        (&week, &["group.created", "group.info_changed", "member.left"]),
        ("settle=0&from=2099-01-01T00:00:00Z", &[]),
    ] {
        assert_eq!(kinds(&get(&api, &format!("/ledger/v1/feed?{query}")).await.json()), expected, "{query}");
    }
    let details = get(&api, "/ledger/v1/feed?settle=0&details=true").await.json();
    assert_eq!(details["changes"][0]["change"]["name"], "MyFirstGroup");
    assert_eq!(details["changes"][0]["source"], json!({ "client_ip": "203.0.113.7" }));
}

#[tokio::test]
async fn quarantine_has_what_was_not_understood_on_a_day() {
    let table = sent().await;
    let api = api(&table);
    let quarantined = get(&api, "/ledger/v1/quarantine?day=2024-05-07").await.json();
    let callback = &quarantined["quarantined"][0];
    assert_eq!(
        [&callback["code"], &callback["raw"], &callback["platform"]],
        [&json!(40001), &json!("{"), &json!("openim")]
    );
    assert_eq!([&quarantined["more"], &quarantined["next"]], [&json!(false), &Value::Null]);
    for (query, count) in [
        ("day=2024-05-08", 0),
        ("day=2024-05-07&platform=tencent-chat", 0),
        ("day=2024-05-07&platform=openim", 1),
        ("day=2024-05-07&app_id=openim", 1),
        ("day=2024-05-07&platform=openim&app_id=another", 0),
    ] {
        let quarantined = get(&api, &format!("/ledger/v1/quarantine?{query}")).await.json();
        assert_eq!(quarantined["quarantined"].as_array().unwrap().len(), count, "{query}");
    }
    // Each once, whatever the page.
    let receiver = table.receiver(OPENIM, &[]);
    for request in ["a", "b", "c", "d", "e"] {
        Sent::post("/openim/callbackAfterQuitGroupCommand", "", "{").request(request).to(&receiver).await;
    }
    for limit in [1, 2, 5, 6, 7] {
        let all =
            walk(&api, &format!("/ledger/v1/quarantine?day=2024-05-07&limit={limit}"), "quarantined", "cursor").await;
        let keys: BTreeSet<&str> = all.iter().map(|callback| callback["change_key"].as_str().unwrap()).collect();
        assert_eq!((all.len(), keys.len()), (6, 6), "{limit}");
    }
}

#[tokio::test]
async fn a_list_is_json_lines_or_csv_where_that_is_asked_for() {
    let table = sent().await;
    let api = api(&table);
    let path = format!("/ledger/v1/history?group_key={GROUP}&limit=1");
    let lines = get(&api, &format!("{path}&format=ndjson")).await;
    assert_eq!(lines.headers["content-type"], "application/x-ndjson");
    assert_eq!(lines.body.matches('\n').count(), 1);
    let link = lines.headers["link"].to_str().unwrap();
    assert!(link.ends_with("; rel=\"next\"; more"), "{link}");
    let next = link.trim_start_matches('<').split('>').next().unwrap();
    let rest = get(&api, next).await;
    let change: Value = serde_json::from_str(&rest.body).unwrap();
    assert_eq!(change["kind"], "group.info_changed");

    let accept = request(&path).header("accept", "text/csv").body(Body::empty()).unwrap();
    let csv = send(&api, accept).await;
    assert!(csv.headers["content-type"].to_str().unwrap().starts_with("text/csv"));
    let rows: Vec<&str> = csv.body.trim_end().split("\r\n").collect();
    assert_eq!(rows.len(), 2);
    assert!(
        rows[0].starts_with("group_key,change_key,platform,") && rows[1].contains(",\"{\"\"members\"\":[\"\"bob\"\"]"),
        "{rows:?}"
    );
    // The feed's link goes on where the page ended.
    let lines = get(&api, &format!("/ledger/v1/feed?settle=0&format=ndjson&from={}&limit=2", a_week_ago())).await;
    let link = lines.headers["link"].to_str().unwrap().to_owned();
    let rest = get(&api, link.trim_start_matches('<').split('>').next().unwrap()).await;
    assert_eq!((rest.status, rest.body.matches('\n').count()), (200, 1), "{link}: {}", rest.body);
}

#[tokio::test]
async fn bad_input_is_an_error_that_names_the_parameter() {
    let table = sent().await;
    let api = api(&table);
    let history = format!("history?group_key={GROUP}");
    let cursor = get(&api, &format!("/ledger/v1/{history}&limit=1")).await.json()["next"].as_str().unwrap().to_owned();
    let day = "day=2024-05-07";
    let long = "x".repeat(2_100);
    for (path, parameter) in [
        ("history".to_owned(), "group_key"),
        ("history?group_key=".to_owned(), "group_key"),
        ("history?group_key=raw%23x%231".to_owned(), "group_key"),
        (format!("history?group_key=quarantine%23openim%23openim%23{day}"), "group_key"),
        ("history?group_key=warm-up".to_owned(), "group_key"),
        ("history?group_key=openim".to_owned(), "group_key"),
        ("history?group_key=openim%23openim".to_owned(), "group_key"),
        (format!("history?group_key=openim%23openim%23{long}"), "group_key"),
        ("history?platform=whatsapp&app_id=1&group_id=g".to_owned(), "platform"),
        ("history?platform=openim&group_id=g".to_owned(), "app_id"),
        ("history?platform=openim&app_id=openim".to_owned(), "group_id"),
        (format!("history?platform=openim&app_id={long}&group_id=g"), "app_id"),
        (format!("quarantine?{day}&app_id={long}"), "app_id"),
        (format!("{history}&platform=openim"), "platform"),
        (format!("{history}&limit=0"), "limit"),
        (format!("{history}&limit=1000000"), "limit"),
        (format!("{history}&limit=-1"), "limit"),
        (format!("{history}&limit=ten"), "limit"),
        (format!("{history}&limit=1&limit=2"), "limit"),
        (format!("{history}&order=up"), "order"),
        (format!("{history}&from=yesterday"), "from"),
        (format!("{history}&from=2023-02-29T00:00:00Z"), "from"),
        (format!("{history}&until=2022-12-09"), "until"),
        (format!("{history}&until=0001-01-01T00:00:00Z"), "until"),
        (format!("{history}&from=2024-01-01T00:00:00Z&until=2023-01-01T00:00:00Z"), "until"),
        (format!("{history}&kind=group.renamed"), "kind"),
        (format!("{history}&kind=*"), "kind"),
        (format!("{history}&kind=group.created&kind="), "kind"),
        (format!("{history}&operator="), "operator"),
        (format!("{history}&cursor=x"), "cursor"),
        (format!("{history}&order=desc&cursor={cursor}"), "cursor"),
        (format!("history?group_key=openim%23openim%23g1&cursor={cursor}"), "cursor"),
        (format!("feed?after={cursor}"), "after"),
        (format!("{history}&format=xml"), "format"),
        (format!("{history}&colour=red"), "colour"),
        (format!("change?group_key={GROUP}"), "change_key"),
        (format!("change?group_key={GROUP}&change_key=x&raw=true"), "raw"),
        (format!("change?group_key={GROUP}&change_key={long}"), "change_key"),
        ("feed?settle=301".to_owned(), "settle"),
        ("feed?settle=-1".to_owned(), "settle"),
        ("feed?details=yes".to_owned(), "details"),
        ("feed?details=true&limit=101".to_owned(), "limit"),
        ("feed?group_key=x".to_owned(), "group_key"),
        ("quarantine".to_owned(), "day"),
        ("quarantine?day=2024-02-30".to_owned(), "day"),
        ("quarantine?day=2024-5-7".to_owned(), "day"),
        ("quarantine?day=20240507".to_owned(), "day"),
        (format!("quarantine?{day}&platform=x"), "platform"),
        (format!("quarantine?{day}&cursor={cursor}"), "cursor"),
        ("apps?x=1".to_owned(), "x"),
        ("openapi.json?x=1".to_owned(), "x"),
    ] {
        let answer = get(&api, &format!("/ledger/v1/{path}")).await;
        assert_eq!(
            (answer.status, &answer.headers["content-type"]),
            (400, &"application/problem+json".parse().unwrap()),
            "{path}"
        );
        let problem = answer.json();
        assert_eq!(problem["parameter"], parameter, "{path}: {problem}");
        assert!(problem["detail"].as_str().unwrap().starts_with(parameter), "{path}: {problem}");
    }
    let feed_cursor = get(&api, "/ledger/v1/feed").await.json()["next"].as_str().unwrap().to_owned();
    let both = format!("/ledger/v1/feed?after={feed_cursor}&from=2022-01-01T00:00:00Z");
    assert_eq!(get(&api, &both).await.json()["parameter"], "from");
    let other_filter = format!("/ledger/v1/feed?after={feed_cursor}&platform=openim");
    assert_eq!(get(&api, &other_filter).await.json()["parameter"], "after");
    // What may change between pages.
    for query in ["limit=7", "settle=30", "details=true", "format=csv"] {
        assert_eq!(get(&api, &format!("/ledger/v1/feed?after={feed_cursor}&{query}")).await.status, 200, "{query}");
    }
}

#[tokio::test]
async fn only_a_reader_reads_and_only_with_get() {
    let table = sent().await;
    let api = api(&table);
    for authorization in
        [None, Some("Bearer wrong-wrong-wrong"), Some("Basic dTpw"), Some("Bearer audit:0123456789abcdef")]
    {
        for path in ["apps", "feed", "history", "openapi.json", "nothing"] {
            let mut request = Request::get(format!("/ledger/v1/{path}"));
            if let Some(authorization) = authorization {
                request = request.header("authorization", authorization);
            }
            let answer = send(&api, request.body(Body::empty()).unwrap()).await;
            assert_eq!(answer.status, 401, "{authorization:?} {path}");
            assert_eq!(answer.headers["www-authenticate"], "Bearer");
        }
    }
    for (method, path, status) in [
        ("POST", "/ledger/v1/feed", 405),
        ("DELETE", "/ledger/v1/history", 405),
        ("GET", "/ledger/v1/nothing", 404),
        ("POST", "/ledger", 405),
    ] {
        let request = request(path).method(method).body(Body::empty()).unwrap();
        let answer = send(&api, request).await;
        assert_eq!(
            (answer.status, answer.json()["status"].as_u64()),
            (status, Some(u64::from(status))),
            "{method} {path}"
        );
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
    }
    for path in ["/", "/ledger/", "/openim/callbackBeforeCreateGroupCommand"] {
        let answer = get(&api, path).await;
        assert_eq!((answer.status, serde_json::from_str::<Value>(&answer.body).is_err()), (404, true), "{path}");
    }
    // A reader's token is none of a sender's credentials.
    let openim = table.receiver(OPENIM, &[("OPENIM_CREDENTIALS", &format!("audit:{TOKEN}x"))]);
    let sent = Sent::post("/openim", "", "{}").header("authorization", &format!("Bearer {TOKEN}"));
    assert_eq!(sent.to(&openim).await.status(), 401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_does_not_answer_is_503_within_10_seconds() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = format!("http://{}", silent.local_addr().unwrap());
    for endpoint in ["http://127.0.0.1:1", &silent] {
        let api = api_at(endpoint);
        for path in ["feed", &format!("history?group_key={GROUP}"), &format!("state?group_key={GROUP}")] {
            let start = Instant::now();
            let answer = get(&api, &format!("/ledger/v1/{path}")).await;
            assert_eq!(answer.status, 503, "{endpoint} {path}");
            assert!(start.elapsed() < Duration::from_secs(10), "{endpoint} {path}: {:?}", start.elapsed());
            assert!(!answer.body.contains("dynamodb"), "{}", answer.body);
        }
    }
}

/// The description and the code are of one mind: each parameter that is described is read, and no other one.
#[tokio::test]
async fn the_description_is_true() {
    let table = sent().await;
    let api = api(&table);
    let answer = get(&api, "/ledger/v1/openapi.json").await.json();
    assert_eq!(answer, serde_json::to_value(description()).unwrap());
    assert!(answer["openapi"].as_str().unwrap().starts_with("3.1"), "{}", answer["openapi"]);
    let paths = answer["paths"].as_object().unwrap();
    assert_eq!(paths.len(), 8);
    for (path, route) in paths {
        let parameters = route["get"]["parameters"].as_array().cloned().unwrap_or_default();
        for parameter in parameters.iter().map(|parameter| parameter["name"].as_str().unwrap()) {
            // Given twice, it is known and wrong, but where it is repeatable.
            let twice = get(&api, &format!("{path}?{parameter}=%01&{parameter}=%01")).await.json();
            let detail = twice["detail"].as_str().unwrap();
            assert!(!detail.contains("no parameter of this route"), "{path} {parameter}: {detail}");
        }
        let described: BTreeSet<&str> =
            parameters.iter().map(|parameter| parameter["name"].as_str().unwrap()).collect();
        let all = paths.values().flat_map(|route| route["get"]["parameters"].as_array().into_iter().flatten());
        let all: BTreeSet<&str> = all.map(|parameter| parameter["name"].as_str().unwrap()).collect();
        // Those of other routes, and such as nobody has.
        for stranger in all.difference(&described).copied().chain(["group_keys", "Limit", "cursors"]) {
            let day = if path.ends_with("quarantine") { "&day=2024-05-07" } else { "" };
            let key = if path.ends_with("change") { "&change_key=x" } else { "" };
            let has_group = described.contains("group_key");
            let group = if has_group { "&group_key=openim%23openim%23g1" } else { "" };
            let answer = get(&api, &format!("{path}?{stranger}=1{day}{key}{group}")).await;
            assert_eq!(answer.json()["parameter"], stranger, "{path}");
        }
    }
    // What is answered is what is described.
    let schemas = &answer["components"]["schemas"];
    for (path, schema) in [
        (format!("/ledger/v1/history?group_key={GROUP}&previous=true"), "Changes"),
        (format!("/ledger/v1/state?group_key={GROUP}"), "State"),
        (format!("/ledger/v1/members?group_key={GROUP}"), "Members"),
        ("/ledger/v1/feed?settle=0&details=true".to_owned(), "Changes"),
        ("/ledger/v1/quarantine?day=2024-05-07".to_owned(), "QuarantinedCallbacks"),
        ("/ledger/v1/apps".to_owned(), "KnownApps"),
        ("/ledger/v1/feed?limit=0".to_owned(), "Problem"),
    ] {
        let body = get(&api, &path).await.json();
        fits(&body, &schemas[schema], schemas, &path);
    }
}

/// Holds a value to a schema: each property is described, and each that is required is there.
fn fits(value: &Value, schema: &Value, schemas: &Value, what: &str) {
    if let Some(name) = schema["$ref"].as_str() {
        return fits(value, &schemas[name.rsplit('/').next().unwrap()], schemas, what);
    }
    if let Some(one_of) = schema["oneOf"].as_array() {
        let own = one_of.iter().find(|one| (one["type"] == "null") == value.is_null());
        return fits(value, own.unwrap(), schemas, what);
    }
    if let Some(all_of) = schema["allOf"].as_array() {
        let mut all = json!({ "properties": {}, "required": [] });
        for part in all_of {
            let part = part["$ref"].as_str().map_or(part, |name| &schemas[name.rsplit('/').next().unwrap()]);
            all["properties"].as_object_mut().unwrap().extend(part["properties"].as_object().unwrap().clone());
            all["required"].as_array_mut().unwrap().extend(part["required"].as_array().unwrap().clone());
            if let Some(others) = part.get("additionalProperties") {
                all["additionalProperties"] = others.clone();
            }
        }
        return fits(value, &all, schemas, what);
    }
    // Any value.
    if ["type", "properties"].iter().all(|name| schema.get(name).is_none()) {
        return;
    }
    match value {
        Value::Object(fields) => {
            let others = schema.get("additionalProperties");
            if others.is_none() && schema.get("properties").is_none() {
                return;
            }
            for (name, value) in fields {
                let described = schema["properties"].get(name).or(others);
                let described = described.unwrap_or_else(|| panic!("{what}: {name} is not described"));
                fits(value, described, schemas, what);
            }
            for name in schema["required"].as_array().into_iter().flatten() {
                assert!(fields.contains_key(name.as_str().unwrap()), "{what}: {name} is required");
            }
        }
        Value::Array(items) => items.iter().for_each(|item| fits(item, &schema["items"], schemas, what)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            let kind = match value {
                Value::Null => "null",
                Value::Bool(_) => "boolean",
                Value::Number(_) => "integer",
                _ => "string",
            };
            let kinds = &schema["type"];
            let is_right = kinds == kind || kinds.as_array().is_some_and(|kinds| kinds.iter().any(|one| one == kind));
            assert!(is_right, "{what}: {value} is no {kinds}");
        }
    }
}
