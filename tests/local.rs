//! The built binaries as `make run` starts them: real processes, the Lambda API and DynamoDB over sockets.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use dynoxide::Database;
use group_ledger::domain::record::{PARTITION_KEY, SORT_KEY};
use group_ledger::platform::PLATFORMS;
use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::database;
use crate::queue::{self, Queues};
use crate::support::cli::run;
use crate::support::lambda::functions_dir;
use crate::support::{TABLE, TEST_TIMEOUT, Table, free_port, local_settings, post, send};
use crate::template::Template;

/// The stack of `make run`, in a process group of its own.
pub(crate) struct Stack {
    process: Child,
    /// Of the callbacks, DynamoDB, SQS and EventBridge.
    pub(crate) ports: [u16; 4],
    folder: TempDir,
    /// What it and its functions print.
    output: tokio::task::JoinHandle<String>,
}

/// What the stack runs as: this test's own build, and the tools that `make` installed.
fn command(ports: [u16; 4], ledger: &Path, settings: &[(&str, &str)]) -> Command {
    let own_build = PathBuf::from(env!("CARGO_BIN_EXE_openim")).parent().unwrap().to_owned();
    let path = format!("{}/.tools/bin:{}", env!("CARGO_MANIFEST_DIR"), std::env::var("PATH").unwrap());
    let mut command = Command::new(own_build.join("examples/local"));
    // The functions' settings are the test's, not those of whoever runs it.
    for (name, _) in std::env::vars_os().filter(|(name, _)| {
        let name = name.to_string_lossy();
        let prefixes = PLATFORMS.map(|platform| platform.secrets.split('_').next().unwrap());
        prefixes.iter().chain(&["AWS", "READER"]).any(|prefix| name.starts_with(&format!("{prefix}_")))
            || ["DYNAMODB_HOST", "FEED", "RETENTION_DAYS", "TABLE_NAME"].contains(&name.as_ref())
    }) {
        command.env_remove(name);
    }
    command
        .env("PATH", path)
        .env("PORT", ports[0].to_string())
        .env("DYNAMODB_PORT", ports[1].to_string())
        .env("SQS_PORT", ports[2].to_string())
        .env("EVENTBRIDGE_PORT", ports[3].to_string())
        .env("FUNCTIONS_DIR", functions_dir())
        .env("LEDGER_FILE", ledger)
        .envs(settings.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    command
}

impl Stack {
    /// Starts a stack on a ledger in `folder`, and waits until it says that it is ready.
    pub(crate) async fn start(folder: TempDir, settings: &[(&str, &str)]) -> Self {
        let ports = [free_port().await, free_port().await, free_port().await, free_port().await];
        Self::start_on(ports, folder, settings).await
    }

    async fn start_on(ports: [u16; 4], folder: TempDir, settings: &[(&str, &str)]) -> Self {
        let mut process = command(ports, &folder.path().join("ledger.sqlite"), settings).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut printed = String::new();
        let ready = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                printed.push_str(&line);
                printed.push('\n');
                if line.starts_with("Group Ledger is ready") {
                    return true;
                }
            }
            false
        };
        assert!(timeout(TEST_TIMEOUT, ready).await.unwrap(), "the stack ended: {printed}");
        let output = tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                printed.push_str(&line);
                printed.push('\n');
            }
            printed
        });
        Self { process, ports, folder, output }
    }

    /// Its own process, of which all others are children.
    pub(crate) fn id(&self) -> u32 {
        self.process.id().unwrap()
    }

    /// Sends a signal to the stack alone, as `kill` does, or to all its processes, as Ctrl-C does.
    pub(crate) async fn signal(&self, signal: &str, to_all: bool) {
        let id = self.id();
        let target = if to_all { format!("-{id}") } else { id.to_string() };
        assert!(Command::new("kill").args([signal, "--", &target]).status().await.unwrap().success());
    }

    /// Waits for the end: how it ended, what it printed, and the folder with its ledger.
    pub(crate) async fn end(mut self) -> (ExitStatus, String, TempDir) {
        let status = timeout(TEST_TIMEOUT, self.process.wait()).await.unwrap().unwrap();
        (status, timeout(TEST_TIMEOUT, self.output).await.unwrap().unwrap(), self.folder)
    }
}

pub(crate) const TENCENT_OK: &str = r#"{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0}"#;

pub(crate) fn info_changed(group: &str, time: i64) -> Vec<u8> {
    let command = "Group.CallbackAfterGroupInfoChanged";
    let body = format!(
        r#"{{"CallbackCommand":"{command}","GroupId":"{group}","Operator_Account":"u-secret","Name":"n-secret","EventTime":{time}}}"#
    );
    post(&format!("/tencent-chat?SdkAppid=1400000000&CallbackCommand={command}&ClientIP=203.0.113.77"), &body)
}

/// The queues of a stack.
pub(crate) fn queues(stack: &Stack) -> Queues {
    let endpoint = format!("http://127.0.0.1:{}", stack.ports[2]);
    let url = |name| format!("{endpoint}/000000000000/{name}");
    Queues {
        client: queue::client(&endpoint),
        fallback_queue: url("fallback-queue"),
        dead_letters: url("fallback-queue-dead-letters"),
        endpoint: endpoint.clone(),
    }
}

/// Waits until the fallback queue is empty, which takes a while per thousand messages.
pub(crate) async fn drained(queues: &Queues) {
    let drained = async {
        while queues.depth(&queues.fallback_queue).await.unwrap() > 0 {
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(10 * TEST_TIMEOUT, drained).await.expect("the replay does not keep up");
}

/// The records in a stopped stack's ledger.
pub(crate) fn records(folder: &TempDir) -> Vec<Value> {
    let file = folder.path().join("ledger.sqlite");
    let database = database::open(file.to_str().unwrap(), &Template::read().unwrap(), TABLE).unwrap();
    Table::over(database).records()
}

/// A function whose wait for a callback times out ends, and the local stack with it; nothing else shows that within a test's
/// time.
#[tokio::test]
async fn the_local_lambda_api_lets_a_function_wait_for_a_year() {
    let stack = Stack::start(TempDir::new().unwrap(), &[]).await;
    let processes = Command::new("ps").args(["-A", "-ww", "-o", "args"]).output().await.unwrap();
    let processes = String::from_utf8(processes.stdout).unwrap();
    let own = format!("-P {}", stack.ports[0]);
    let api = processes.lines().find(|line| line.contains("lambda watch") && line.trim_end().ends_with(&own));
    let (_, timeout) = api.unwrap().split_once("--timeout ").unwrap();
    let seconds: u64 = timeout.split(' ').next().unwrap().parse().unwrap();
    assert!(seconds >= 365 * 24 * 60 * 60, "{seconds}");
    stack.signal("-INT", true).await;
    stack.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callbacks_are_recorded_and_a_second_start_keeps_them() {
    let stack = Stack::start(TempDir::new().unwrap(), &[]).await;
    for (name, request) in crate::support::files("tests/wire") {
        let (status, body) = send(stack.ports[0], request.as_bytes()).await.unwrap();
        assert_eq!(status, 200, "{name}: {body}");
        assert_eq!(body, r#"{"actionCode":0,"errCode":0,"errMsg":"Success","errDlt":"","nextCode":0}"#, "{name}");
    }
    let mut deliveries = JoinSet::new();
    for _ in 0..50 {
        let port = stack.ports[0];
        deliveries.spawn(async move { send(port, &info_changed("@TGS#1", 1_715_049_600_123)).await });
    }
    for answer in deliveries.join_all().await {
        assert_eq!(answer, Some((200, TENCENT_OK.to_owned())));
    }
    for (path, status) in [("/openim//x/", 400), ("/tencent-chat", 403)] {
        assert_eq!(send(stack.ports[0], &post(path, "{")).await.unwrap().0, status, "{path}");
    }
    for (path, status) in [("/openim/callbackAfterSetGroupInfoExCommand", 405), ("/", 404), ("/favicon.ico", 404)] {
        let get = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
        assert_eq!(send(stack.ports[0], get.as_bytes()).await.unwrap().0, status, "{path}");
    }
    assert_eq!(send(stack.ports[0], &post("/tencent_chat", "{")).await.unwrap().0, 404, "a mistyped path");

    drained(&queues(&stack)).await;
    stack.signal("-INT", true).await;
    let (status, output, folder) = stack.end().await;
    assert_eq!(status.code(), Some(0), "{output}");
    assert!(output.contains("Stopped."), "{output}");
    assert!(output.contains(r#""outcome":"duplicate""#), "{output}");
    for secret in ["u-secret", "n-secret", "@TGS#1", "203.0.113.77", "1400000000&"] {
        let logged = output.lines().filter(|line| line.starts_with('{')).any(|line| line.contains(secret));
        assert!(!logged, "{secret} is in the log: {output}");
    }
    let first = records(&folder);
    assert_eq!(first.len(), 7, "six from OpenIM, one from Tencent Cloud Chat");

    let stack = Stack::start(folder, &[]).await;
    send(stack.ports[0], &info_changed("@TGS#1", 1_715_049_600_123)).await.unwrap();
    send(stack.ports[0], &info_changed("@TGS#1", 1_715_049_600_000)).await.unwrap();
    stack.signal("-TERM", false).await;
    let (status, output, folder) = stack.end().await;
    assert_eq!(status.code(), Some(0), "{output}");
    let second = records(&folder);
    assert_eq!(second.len(), 8);
    assert!(first.iter().all(|record| second.contains(record)));
    let of_tencent = second.iter().filter(|record| record["group_id"] == "@TGS#1");
    let times: Vec<_> = of_tencent.map(|record| record["occurred_at"].as_str().unwrap()).collect();
    assert_eq!(times, ["2024-05-07T02:40:00.000Z", "2024-05-07T02:40:00.123Z"], "in the order of the changes");
}

/// The ledger of an older version: its table has no index, and the newer of its records has a place in the feed already.
fn older_ledger(file: &Path, template: &Template) {
    let mut definition = template.table(TABLE).unwrap();
    definition.as_object_mut().unwrap().remove("GlobalSecondaryIndexes");
    definition["AttributeDefinitions"].as_array_mut().unwrap().retain(|attribute| {
        let name = attribute["AttributeName"].as_str().unwrap();
        [PARTITION_KEY, SORT_KEY].contains(&name)
    });
    let database = Database::new(file.to_str().unwrap()).unwrap();
    database.create_table(serde_json::from_value(definition).unwrap()).unwrap();
    let place = [("feed_key", "2026-11-21#3"), ("feed_at", "2026-11-21T03:49:02.063Z#5a8c#r")];
    for (group, place) in [("older", &[][..]), ("newer", &place)] {
        let record = [("group_key", group), ("change_key", "c"), ("kind", "group.full"), ("raw", "{}")];
        let item = record.iter().chain(place).map(|(name, value)| ((*name).to_owned(), json!({ "S": value })));
        Table::over(database.clone()).put(&Value::Object(item.collect()));
    }
}

#[test]
fn an_older_ledger_gets_the_feeds_index_with_the_records_that_have_a_place() {
    let folder = TempDir::new().unwrap();
    let (file, template) = (folder.path().join("ledger.sqlite"), Template::read().unwrap());
    older_ledger(&file, &template);
    let file = file.to_str().unwrap();

    let database = database::open(file, &template, TABLE).unwrap();
    assert_eq!(database::add_indexes(&database, &template, TABLE).unwrap(), ["feed"]);
    let table = Table::over(database.clone());
    assert_eq!(table.records().len(), 2);
    let newer = json!({
        "group_key": "newer", "change_key": "c", "kind": "group.full",
        "feed_key": "2026-11-21#3", "feed_at": "2026-11-21T03:49:02.063Z#5a8c#r",
    });
    assert_eq!(table.feed(), [newer]);
    drop((table, database));

    let database = database::open(file, &template, TABLE).unwrap();
    assert_eq!(database::add_indexes(&database, &template, TABLE).unwrap(), [""; 0], "it has it already");
    assert_eq!(Table::over(database).feed().len(), 1);
}

#[test]
fn an_entry_of_the_stream_is_numbered_without_looking_at_all() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("ledger.sqlite");
    drop(database::open(file.to_str().unwrap(), &Template::read().unwrap(), TABLE).unwrap());
    let last = "SELECT MAX(CAST(sequence_number AS INTEGER)) FROM _stream_records WHERE table_name = 'a'";
    let plan = Connection::open(file).unwrap();
    let plan = plan.query_row(&format!("EXPLAIN QUERY PLAN {last}"), [], |row| row.get::<_, String>("detail")).unwrap();
    assert!(plan.contains("INDEX stream_records (table_name=?)"), "{plan}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stack_says_that_an_older_ledger_got_the_index() {
    let mut folder = TempDir::new().unwrap();
    older_ledger(&folder.path().join("ledger.sqlite"), &Template::read().unwrap());
    for is_older in [true, false] {
        let stack = Stack::start(folder, &[]).await;
        stack.signal("-INT", true).await;
        let (_, output, kept) = stack.end().await;
        assert_eq!(output.contains("its table has the index feed now"), is_older, "{output}");
        folder = kept;
    }
}

/// A callback comes out of the bus's rule, by the line that the stack prints; what was recorded before a start does not again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_callback_is_an_event() {
    let mut folder = TempDir::new().unwrap();
    for (group, time) in [("@TGS#1", 1_715_049_600_123), ("@TGS#2", 1_715_049_600_456)] {
        let stack = Stack::start(folder, &[]).await;
        send(stack.ports[0], &info_changed(group, time)).await.unwrap();
        let queue_url = format!("http://127.0.0.1:{}/000000000000/events", stack.ports[2]);
        let args = ["events", "--queue-url", &queue_url, "--until-empty", "--json"];
        let mut shown = String::new();
        let start = Instant::now();
        // The stream is read four times a second.
        while shown.is_empty() {
            assert!(start.elapsed() < TEST_TIMEOUT, "no event comes");
            let ended = run(&BTreeMap::new(), &args, "").await;
            ended.succeeded();
            shown = ended.output;
        }
        let [event] = <[&str; 1]>::try_from(shown.lines().collect::<Vec<_>>()).unwrap();
        let event: Value = serde_json::from_str(event).unwrap();
        assert_eq!(event["detail"]["group_id"], group, "{shown}");
        assert_eq!([&event["source"], &event["detail-type"]], ["group-ledger", "group.info_changed"]);
        stack.signal("-INT", true).await;
        let (status, output, left) = stack.end().await;
        assert_eq!(status.code(), Some(0), "{output}");
        assert!(output.contains(&format!("group-ledger events --queue-url {queue_url}")), "{output}");
        folder = left;
    }
}

/// Only whoever has a token: one that the stack makes and shows, or those that it is given, which it does not show.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ledger_is_read_with_a_token() {
    let get = |path: &str, token: &str| {
        format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n\r\n").into_bytes()
    };
    let given = "0123456789abcdef-given";
    let tokens = format!("test:{given}");
    let mut shown = BTreeSet::new();
    for settings in [&[("READER_TOKENS", tokens.as_str())][..], &[], &[]] {
        let stack = Stack::start(TempDir::new().unwrap(), settings).await;
        for (token, status) in [("0123456789abcdef-wrong", 401), (given, if settings.is_empty() { 401 } else { 200 })] {
            let (answered, body) = send(stack.ports[0], &get("/ledger/v1/feed", token)).await.unwrap();
            assert_eq!(answered, status, "{body}");
        }
        let port = stack.ports[0];
        stack.signal("-INT", true).await;
        let (status, output, _) = stack.end().await;
        assert_eq!(status.code(), Some(0), "{output}");
        assert!(!output.contains(given), "{output}");
        let (_, line) = output.split_once("Authorization: Bearer ").unwrap();
        let (token, url) = line.lines().next().unwrap().split_once(['\'', '"']).unwrap();
        assert!(url.contains(&format!("'http://127.0.0.1:{port}/ledger/v1/feed'")), "{url}");
        assert_eq!(token == "$TOKEN", !settings.is_empty(), "{token}");
        assert!(shown.insert(token.to_owned()), "two starts have one token");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_dynamodb_is_bridged() {
    let stack = Stack::start(TempDir::new().unwrap(), &[]).await;
    stack.signal("-USR1", false).await;
    let cut_off = async { while TcpStream::connect((Ipv4Addr::LOCALHOST, stack.ports[1])).await.is_ok() {} };
    timeout(TEST_TIMEOUT, cut_off).await.unwrap();
    for number in 0..10 {
        let answer = send(stack.ports[0], &info_changed(&format!("g{number}"), 1_715_049_600_123)).await;
        assert_eq!(answer, Some((200, TENCENT_OK.to_owned())));
    }
    stack.signal("-USR1", false).await;
    drained(&queues(&stack)).await;
    stack.signal("-INT", true).await;
    let (status, output, folder) = stack.end().await;
    assert_eq!(status.code(), Some(0), "{output}");
    let queued = output.lines().filter(|line| line.contains(r#""outcome":"queued""#));
    // Each with why the table did not take it.
    assert_eq!(
        queued.filter(|line| line.contains(r#""level":"WARN""#) && line.contains(r#""error":"#)).count(),
        10,
        "{output}"
    );
    assert_eq!(records(&folder).len(), 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_being_killed() {
    let mut folder = TempDir::new().unwrap();
    let (mut acknowledged, mut queued) = (Vec::new(), 0);
    for round in 0..3 {
        let stack = Stack::start(folder, &[]).await;
        let answered = Arc::new(AtomicUsize::new(0));
        let mut senders = JoinSet::new();
        for sender in 0..4 {
            let (port, answered) = (stack.ports[0], Arc::clone(&answered));
            senders.spawn(async move {
                let mut acknowledged = Vec::new();
                for number in 0.. {
                    let group = format!("{round}-{sender}-{number}");
                    match send(port, &info_changed(&group, 1_715_049_600_123)).await {
                        Some((200, _)) => {
                            acknowledged.push(group);
                            answered.fetch_add(1, Ordering::SeqCst);
                        }
                        _ => return acknowledged,
                    }
                }
                acknowledged
            });
        }
        // The moment is the load's own: whenever some callbacks have gone through, and others are under way.
        let under_load = async {
            while answered.load(Ordering::SeqCst) < 20 {
                tokio::task::yield_now().await;
            }
        };
        timeout(TEST_TIMEOUT, under_load).await.expect("nothing is acknowledged");
        stack.signal("-KILL", true).await;
        acknowledged.extend(senders.join_all().await.into_iter().flatten());
        let (_, output, kept) = stack.end().await;
        queued += output.matches(r#""outcome":"queued""#).count();
        folder = kept;
    }
    let recorded: Vec<_> =
        records(&folder).iter().map(|record| record["group_id"].as_str().unwrap().to_owned()).collect();
    assert!(acknowledged.len() >= 60, "{}", acknowledged.len());
    // The local SQS dies with the stack, so what a busy machine has made a function send to the queue is not in question.
    let lost = acknowledged.iter().filter(|group| !recorded.contains(group)).count();
    assert!(lost <= queued, "{lost} were acknowledged and are lost, {queued} of them in the fallback queue");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stack_that_is_killed_leaves_nothing_behind() {
    let stack = Stack::start(TempDir::new().unwrap(), &[]).await;
    let ports = stack.ports;
    stack.signal("-KILL", false).await;
    let (_, _, folder) = stack.end().await;
    for port in ports {
        let free = async { while TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.is_err() {} };
        timeout(TEST_TIMEOUT, free).await.expect("its port stays taken");
    }
    let stack = Stack::start_on(ports, folder, &[]).await;
    stack.signal("-INT", false).await;
    assert_eq!(stack.end().await.0.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_keeps_the_stack_from_running_is_said() {
    let folder = TempDir::new().unwrap();
    let ledger = folder.path().join("ledger.sqlite");
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let taken = taken.local_addr().unwrap().port();
    let free = [free_port().await, free_port().await, free_port().await, free_port().await];
    for (ports, settings, message) in [
        ([taken, free[1], free[2], free[3]], &[][..], format!("port {taken} for callbacks is taken")),
        ([free[0], taken, free[2], free[3]], &[][..], format!("port {taken} for DynamoDB is taken")),
        ([free[0], free[1], taken, free[3]], &[][..], format!("port {taken} for SQS is taken")),
        ([free[0], free[1], free[2], taken], &[][..], format!("port {taken} for EventBridge is taken")),
        (free, &[("PORT", "x")][..], "PORT must be a port".to_owned()),
        (free, &[("FUNCTIONS_DIR", "/nowhere")][..], "there is no function /nowhere/".to_owned()),
        (free, &[("OPENIM_CREDENTIALS", "hunter2")][..], "openim ended (exit status: 1)".to_owned()),
    ] {
        let output = timeout(TEST_TIMEOUT, command(ports, &ledger, settings).stderr(Stdio::piped()).output())
            .await
            .unwrap()
            .unwrap();
        let Output { status, stdout, stderr } = output;
        let (stdout, stderr) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
        assert_eq!(status.code(), Some(1), "{stderr}");
        assert!(stderr.contains(&message), "{message}: {stderr}");
        assert!(!stdout.contains("hunter2") && !stderr.contains("hunter2"));
        if !settings.is_empty() && settings[0].0 == "OPENIM_CREDENTIALS" {
            assert!(stdout.contains("OPENIM_CREDENTIALS must be user:password"), "{stdout}");
        }
    }
}

/// What a newcomer sees in a minute: the demo, sent to a running stack, and the states of its groups. A second run is of others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_is_a_week_to_look_at() {
    let stack = Stack::start(TempDir::new().unwrap(), &[]).await;
    let url = format!("http://127.0.0.1:{}", stack.ports[0]);
    let settings = local_settings(&format!("http://127.0.0.1:{}", stack.ports[1]));
    let settings = settings.into_iter().filter(|(name, _)| name.starts_with("AWS_ENDPOINT_URL")).collect();
    let sent = run(&settings, &["send", &url, "--demo"], "").await;
    sent.succeeded();
    assert_eq!(sent.output.lines().count(), include_str!("../src/cli/demo.jsonl").lines().count());
    assert!(sent.output.lines().all(|line| line.starts_with("200 ")), "{}", sent.output);
    let keys: Vec<&str> = sent.errors.lines().filter_map(|line| line.split('\'').nth(1)).collect();
    assert_eq!(keys.len(), 3, "{}", sent.errors);
    for (key, gaps, members) in [(keys[0], 0, 5), (keys[1], 4, 0), (keys[2], 0, 2)] {
        let state = run(&settings, &["state", key, "--json"], "").await;
        let state: Value = serde_json::from_str(&state.succeeded()).unwrap();
        assert_eq!(state["gaps"].as_array().unwrap().len(), gaps, "{key}: {}", state["gaps"]);
        assert_eq!(state["members_total"], members, "{key}: {}", state["members"]);
        assert_eq!([&state["complete"], &state["finished"]], [&json!(gaps == 0), &json!(true)], "{key}");
    }
    stack.signal("-INT", true).await;
    stack.end().await;
}
