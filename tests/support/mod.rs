//! What the tests share: an embedded DynamoDB with the template's table, receivers over it, events and answers.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use dynoxide::{Database, ImportOptions};
use group_ledger::domain::timestamp::Timestamp;
use group_ledger::host::aws::{self, Timeouts};
use group_ledger::host::lambda::event::Event;
use group_ledger::host::lambda::receiver;
use group_ledger::host::setup;
use group_ledger::ingest::receive::Receiver;
use group_ledger::platform::Registration;
use group_ledger::settings::Settings;
use group_ledger::storage::ledger::Ledger;
use group_ledger::storage::store::Store;
use http::Response;
use http::header::{HeaderName, HeaderValue};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::database;
use crate::stream_source::{self, StreamSource};
use crate::template::Template;

pub(crate) mod bus;
pub(crate) mod cli;
pub(crate) mod cloudformation;
pub(crate) mod elf;
pub(crate) mod fault;
pub(crate) mod lambda;
pub(crate) mod platforms;
pub(crate) mod recorder;
pub(crate) mod server;

pub(crate) use platforms::*;

pub(crate) const TABLE: &str = "group-changes";

/// Far longer than anything takes; what runs into it has hung.
pub(crate) const TEST_TIMEOUT: Duration = Duration::from_mins(1);

/// An embedded DynamoDB.
pub(crate) struct Table {
    pub(crate) endpoint: String,
    database: Database,
}

impl Table {
    /// One in memory, on a port of its own.
    pub(crate) async fn start() -> Self {
        Self::start_at("127.0.0.1").await
    }

    /// One in memory, on a port of its own of `host`.
    pub(crate) async fn start_at(host: &str) -> Self {
        let database = database::open(":memory:", &Template::read().unwrap(), TABLE).unwrap();
        let listener = TcpListener::bind((host, 0)).await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(dynoxide::server::serve_on(listener, database.clone()));
        Self { endpoint, database }
    }

    /// One whose stream is on, and the stream from its beginning.
    pub(crate) async fn with_stream() -> (Self, StreamSource) {
        let table = Self::start().await;
        let template = Template::read().unwrap();
        let start = stream_source::enable(&table.database, &template, TABLE).unwrap();
        let stream = StreamSource::open(table.database.clone(), &template, TABLE, start).unwrap();
        (table, stream)
    }

    /// One that a stack has left behind, on no port.
    pub(crate) fn over(database: Database) -> Self {
        Self { endpoint: String::new(), database }
    }

    /// The records, by group and in order, as plain JSON.
    pub(crate) fn records(&self) -> Vec<Value> {
        self.plain_items(false)
    }

    /// What is in quarantine.
    pub(crate) fn quarantined(&self) -> Vec<Value> {
        self.plain_items(true)
    }

    fn plain_items(&self, quarantined: bool) -> Vec<Value> {
        let items = self.items();
        let plain = items.iter().map(|item| plain(&json!({ "M": item })));
        let is_asked_for = |item: &Value| {
            let key = item["group_key"].as_str().unwrap();
            key.starts_with("quarantine#") == quarantined && !key.starts_with("raw#")
        };
        let mut plain: Vec<Value> = plain.filter(is_asked_for).collect();
        plain.sort_by_key(|item| (item["group_key"].to_string(), item["change_key"].to_string()));
        plain
    }

    /// What the feed's index has, in the order of writing, as plain JSON.
    pub(crate) fn feed(&self) -> Vec<Value> {
        let items = self.scan(json!({ "TableName": TABLE, "IndexName": "feed" }));
        let mut plain: Vec<Value> = items.iter().map(|item| plain(&json!({ "M": item }))).collect();
        plain.sort_by_key(|item| item["feed_at"].to_string());
        plain
    }

    /// All that the table holds, as DynamoDB writes it.
    pub(crate) fn items(&self) -> Vec<Value> {
        self.scan(json!({ "TableName": TABLE }))
    }

    fn scan(&self, mut page: Value) -> Vec<Value> {
        let mut items = Vec::new();
        loop {
            let request = serde_json::from_value(page.clone()).unwrap();
            let mut answer = serde_json::to_value(self.database.scan(request).unwrap()).unwrap();
            items.append(answer["Items"].as_array_mut().unwrap());
            page["ExclusiveStartKey"] = answer["LastEvaluatedKey"].take();
            if page["ExclusiveStartKey"].is_null() {
                return items;
            }
        }
    }

    /// Puts an item, past every receiver; the write units that it takes, of the table and its index.
    pub(crate) fn put(&self, item: &Value) -> f64 {
        let request = json!({ "TableName": TABLE, "Item": item, "ReturnConsumedCapacity": "TOTAL" });
        let answer = self.database.put_item(serde_json::from_value(request).unwrap()).unwrap();
        serde_json::to_value(answer).unwrap()["ConsumedCapacity"]["CapacityUnits"].as_f64().unwrap()
    }

    /// Puts many items at once, past every receiver.
    pub(crate) fn import(&self, items: Vec<Value>) {
        let items = items.into_iter().map(|item| serde_json::from_value(item).unwrap()).collect();
        self.database.import_items(TABLE, items, ImportOptions::default()).unwrap();
    }

    /// Deletes an item, past every receiver.
    pub(crate) fn delete(&self, key: &Map<String, Value>) {
        let request = json!({ "TableName": TABLE, "Key": key });
        self.database.delete_item(serde_json::from_value(request).unwrap()).unwrap();
    }

    /// Deletes everything, past every receiver.
    pub(crate) fn clear(&self) {
        for item in self.items() {
            let key = ["group_key", "change_key"].map(|name| (name.to_owned(), item[name].clone()));
            self.delete(&Map::from_iter(key));
        }
    }

    /// A ledger over this table that waits as long as a busy machine takes, which a function must not.
    pub(crate) fn ledger(&self) -> Ledger {
        let settings = self.settings(&[]);
        let lookup = |name: &str| settings.get(name).cloned();
        let settings = Settings::new(&lookup);
        let timeouts = Timeouts { attempt: TEST_TIMEOUT, connect: TEST_TIMEOUT };
        Ledger::from_settings(&settings, &aws::config(&settings, timeouts).unwrap()).unwrap()
    }

    /// The settings of a function over this table, with `more` added or, where empty, taken away.
    pub(crate) fn settings(&self, more: &[(&str, &str)]) -> BTreeMap<String, String> {
        let mut settings = local_settings(&self.endpoint);
        settings.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        settings
    }

    pub(crate) fn receiver(&self, platform: &Registration, more: &[(&str, &str)]) -> Receiver {
        receiver(platform, &self.settings(more)).unwrap()
    }
}

/// The settings of a function over the table at `endpoint`.
pub(crate) fn local_settings(endpoint: &str) -> BTreeMap<String, String> {
    let common = [
        ("TABLE_NAME", TABLE),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "local"),
        ("AWS_SECRET_ACCESS_KEY", "local"),
        ("AWS_ENDPOINT_URL_DYNAMODB", endpoint),
    ];
    let own = all().flat_map(|platform| platform.sample_app.iter().copied().chain([(platform.allow_anybody, "true")]));
    common.into_iter().chain(own).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The store that `settings` describe.
pub(crate) fn store(settings: &BTreeMap<String, String>) -> Arc<Store> {
    setup::store(&Settings::new(&|name| settings.get(name).cloned())).map(Arc::new).unwrap()
}

/// The receiver that `settings` describe, or why there is none.
pub(crate) fn receiver(platform: &Registration, settings: &BTreeMap<String, String>) -> Result<Receiver, String> {
    setup::receiver(platform, &Settings::new(&|name| settings.get(name).cloned())).map_err(|error| error.to_string())
}

/// A DynamoDB value as plain JSON; binary as `{"bytes": length}`.
fn plain(value: &Value) -> Value {
    let (kind, value) = value.as_object().unwrap().iter().next().unwrap();
    match kind.as_str() {
        "S" | "BOOL" => value.clone(),
        "N" => serde_json::from_str(value.as_str().unwrap()).unwrap(),
        "NULL" => Value::Null,
        "L" => value.as_array().unwrap().iter().map(plain).collect(),
        "M" => value.as_object().unwrap().iter().map(|(name, value)| (name.clone(), plain(value))).collect(),
        "B" => json!({ "bytes": BASE64_STANDARD.decode(value.as_str().unwrap()).unwrap().len() }),
        _ => panic!("{kind} is in no record"),
    }
}

/// What a test sends, as API Gateway would tell of it.
pub(crate) struct Sent {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: Map<String, Value>,
    pub(crate) body: Vec<u8>,
    pub(crate) received_at: i64,
    pub(crate) request_id: String,
}

impl Sent {
    /// A POST of `body` to `path`, received at 2024-05-07T02:40:01.000Z.
    pub(crate) fn post(path: &str, query: &str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            method: "POST".into(),
            path: path.into(),
            query: query.into(),
            headers: Map::new(),
            body: body.into(),
            received_at: 1_715_049_601_000,
            request_id: "request-1".into(),
        }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.insert(name.to_ascii_lowercase(), value.into());
        self
    }

    pub(crate) fn request(mut self, request_id: &str) -> Self {
        request_id.clone_into(&mut self.request_id);
        self
    }

    /// What the platform's sender makes of it now, by these settings.
    pub(crate) fn signed(self, platform: &Registration, settings: &[(&str, &str)]) -> Self {
        let now = Timestamp::now();
        let lookup = |name: &str| {
            let value = platform.sample_app.iter().chain(settings).rfind(|(setting, _)| *setting == name);
            value.map(|(_, value)| (*value).to_owned())
        };
        let url = format!("http://127.0.0.1{}?{}", self.path, self.query);
        let mut request = http::Request::post(url).body(self.body).unwrap();
        (platform.sender)(&mut request, &Settings::new(&lookup), now);
        let query = request.uri().query().unwrap_or_default();
        let received_at = now.unix_millis();
        let sent = Self { headers: self.headers, received_at, ..Self::post(request.uri().path(), query, "") };
        let add = |sent: Self, (name, value): (&HeaderName, &HeaderValue)| {
            sent.header(name.as_str(), value.to_str().unwrap())
        };
        Self { body: request.body().clone(), ..request.headers().iter().fold(sent, add) }
    }

    /// The event; bytes that are no text are encoded, as API Gateway does.
    pub(crate) fn event(&self) -> String {
        let text = str::from_utf8(&self.body).ok();
        let body = text.map_or_else(|| BASE64_STANDARD.encode(&self.body), str::to_owned);
        json!({
            "version": "2.0",
            "rawPath": self.path,
            "rawQueryString": self.query,
            "headers": self.headers,
            "requestContext": {
                "http": { "method": self.method, "path": self.path, "sourceIp": "203.0.113.7" },
                "requestId": self.request_id,
                "timeEpoch": self.received_at,
            },
            "body": body,
            "isBase64Encoded": text.is_none(),
        })
        .to_string()
    }

    /// The bytes of the request, from any HTTP client; what these say of the connection is the client's own.
    pub(crate) fn http(&self) -> Vec<u8> {
        let own = ["connection", "content-length", "transfer-encoding"];
        let headers = self.headers.iter().filter(|(name, _)| !own.contains(&name.as_str()));
        let headers: Vec<_> = headers.map(|(name, value)| format!("{name}: {}\r\n", value.as_str().unwrap())).collect();
        let headers = headers.concat();
        let query = if self.query.is_empty() { String::new() } else { format!("?{}", self.query) };
        let (method, path, length) = (&self.method, &self.path, self.body.len());
        let head = format!("{method} {path}{query} HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n{headers}\r\n");
        [head.as_bytes(), &self.body].concat()
    }

    pub(crate) async fn to(&self, receiver: &Receiver) -> Response<String> {
        handle(receiver, &self.event()).await
    }
}

/// The request that an event describes.
pub(crate) fn http(event: impl AsRef<str>) -> http::Request<Bytes> {
    let event: Event = serde_json::from_str(event.as_ref()).unwrap();
    event.into_request(Timestamp::now(), None).unwrap()
}

/// A function's answer to an event.
pub(crate) async fn handle(receiver: &Receiver, event: &str) -> Response<String> {
    receiver::invoke(receiver, serde_json::from_str(event).unwrap(), None).await
}

/// The response that a function's answer is.
pub(crate) fn response(answer: &str) -> Response<String> {
    let answer: Value = serde_json::from_str(answer).unwrap();
    let mut response = Response::builder().status(u16::try_from(answer["statusCode"].as_u64().unwrap()).unwrap());
    for (name, value) in answer["headers"].as_object().unwrap() {
        response = response.header(name, value.as_str().unwrap());
    }
    response.body(answer["body"].as_str().unwrap().to_owned()).unwrap()
}

/// Holds an answer against the design: status, content type and the platform's own words.
pub(crate) fn assert_answer(platform: &Registration, response: &Response<String>, status: u16, what: &str) {
    assert_eq!(response.status(), status, "{what}: {}", response.body());
    assert_eq!(response.headers()["content-type"], "application/json", "{what}");
    let answers = answers(platform, status);
    assert!(answers.contains(response.body()), "{what}: {} is none of {answers:?}", response.body());
}

/// A list of members, `bytes` long or a little longer, whose ids do not compress.
pub(crate) fn random_members(bytes: usize) -> String {
    let mut random = Sha256::digest("seed").to_vec();
    let mut members = String::new();
    while members.len() < bytes {
        random = Sha256::digest(&random).to_vec();
        write!(members, r#"{{"Member_Account":"{}"}},"#, BASE64_STANDARD.encode(&random)).unwrap();
    }
    members.trim_end_matches(',').to_owned()
}

/// The files of a folder, by name.
pub(crate) fn files(folder: &str) -> Vec<(String, String)> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let entries = entries.map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(path).unwrap()))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{folder} is empty");
    files
}

/// A port that was free a moment ago, and that no other test of this process gets. It is below the system's ephemeral ports (32,768
/// and above), which a connection could take before the test does.
pub(crate) async fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        // Another process begins elsewhere.
        let number = std::process::id().wrapping_mul(101).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(12_000 + number % 20_000).unwrap();
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.is_ok() {
            return port;
        }
    }
}

/// Sends a request as its bytes are; the answer's status and body, or `None` where there is none.
pub(crate) async fn send(port: u16, request: &[u8]) -> Option<(u16, String)> {
    let (parts, body) = exchange(port, request).await?.into_parts();
    Some((parts.status.as_u16(), body))
}

/// Sends a request as its bytes are; the answer, or `None` where there is none.
pub(crate) async fn exchange(port: u16, request: &[u8]) -> Option<Response<String>> {
    let request_line = request.windows(2).position(|bytes| bytes == b"\r\n")?;
    let (request_line, rest) = request.split_at(request_line);
    let exchange = async {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        stream.write_all(&[request_line, b"\r\nConnection: close", rest].concat()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.map(|_| answer)
    };
    let answer = timeout(TEST_TIMEOUT, exchange).await.unwrap().ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let (status_line, headers) = head.split_once("\r\n").unwrap_or((head, ""));
    let mut response = Response::builder().status(status_line.split(' ').nth(1)?);
    for (name, value) in headers.lines().filter_map(|line| line.split_once(": ")) {
        response = response.header(name, value);
    }
    response.body(body.to_owned()).ok()
}

/// The bytes of a POST.
pub(crate) fn post(path: &str, body: &str) -> Vec<u8> {
    format!("POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}
