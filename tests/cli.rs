//! The command line over an embedded DynamoDB: what each command writes, how it ends, and that nothing is lost or there twice
//! however it is stopped.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Stdio;
use std::time::Duration;

use group_ledger::domain::timestamp::Timestamp;
use insta::assert_snapshot;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout};
use tokio::time::{sleep, timeout};

use crate::support::cli::{Ended, command, run};
use crate::support::fault::{Fault, Proxy, Transport};
use crate::support::{OPENIM, Sent, TABLE, TENCENT_CHAT, TEST_TIMEOUT, Table, assert_answer, random_members};

const GROUP: &str = "tencent-chat#1400000000#@TGS#2J4SZEAEL";

/// What a user of a local stack has set: its address.
fn local(endpoint: &str) -> BTreeMap<String, String> {
    BTreeMap::from([("AWS_ENDPOINT_URL_DYNAMODB".to_owned(), endpoint.to_owned())])
}

/// A table with a group that is created and renamed by somebody hostile, another group, and a callback that is not understood.
async fn sent() -> Table {
    let table = Table::start().await;
    let receiver = table.receiver(TENCENT_CHAT, &[]);
    for body in [
        json!({ "CallbackCommand": "Group.CallbackAfterCreateGroup", "GroupId": "@TGS#2J4SZEAEL", "Operator_Account": "group_root",
            "Owner_Account": "leckie", "Type": "Public", "Name": "MyFirstGroup", "EventTime": 1_670_574_414_123_i64,
            "MemberList": [{ "Member_Account": "bob" }] }),
        json!({ "CallbackCommand": "Group.CallbackAfterGroupInfoChanged", "GroupId": "@TGS#2J4SZEAEL", "Type": "Public",
            "Operator_Account": "=leckie", "Name": "\u{1b}[31mred\u{202e}", "EventTime": 1_670_574_500_000_i64 }),
    ] {
        let sent = Sent::post("/tencent-chat", "SdkAppid=1400000000", body.to_string());
        assert_answer(TENCENT_CHAT, &sent.to(&receiver).await, 200, "sent");
    }
    let openim = table.receiver(OPENIM, &[]);
    let body = r#"{"callbackCommand":"callbackAfterQuitGroupCommand","groupID":"g1","quitUserID":"u1"}"#;
    assert_answer(OPENIM, &Sent::post("/openim", "", body).to(&openim).await, 200, "sent");
    assert_answer(OPENIM, &Sent::post("/openim/callbackAfterQuitGroupCommand", "", "{").to(&openim).await, 400, "sent");
    table
}

/// Puts records beside one that is there, under keys of their own: some as large as an item may be read in pages.
fn put(table: &Table, count: usize, recorded_at: Timestamp) {
    let items = table.items();
    let of_openim = |item: &&Value| item["group_key"]["S"] == "openim#openim#g1";
    let sample = items.iter().find(of_openim).unwrap();
    for number in 0..count {
        let mut item = sample.clone();
        item["group_key"] = json!({ "S": format!("openim#openim#many-{}", number % 7) });
        item["change_key"] = json!({ "S": format!("2024-05-07T02:40:01.000Z#{number:016}") });
        item["feed_key"] = json!({ "S": format!("{}#{}", recorded_at.date(), number % 8) });
        item["feed_at"] = json!({ "S": format!("{recorded_at}#{number:016}#r") });
        table.put(&item);
    }
}

async fn history(table: &Table, args: &[&str]) -> Ended {
    run(&local(&table.endpoint), &[&["history"], args].concat(), "").await
}

#[tokio::test]
async fn a_history_is_a_line_a_change() {
    let table = sent().await;
    let ended = history(&table, &[GROUP]).await;
    ended.succeeded();
    assert_snapshot!(ended.output, @r#"
    2022-12-09T08:26:54.123Z  group.created             by group_root  members=["bob"]  name="MyFirstGroup"  owner="leckie"
    2022-12-09T08:28:20.000Z  group.info_changed        by =leckie  name="\u001b[31mred\u202e"
    "#);
    assert_eq!(ended.errors, "");

    let previous = history(&table, &[GROUP, "--previous", "--kind", "group.info_changed"]).await;
    assert!(previous.succeeded().ends_with(r#"  before: name="MyFirstGroup""#), "{}", previous.output);

    let newest = history(&table, &[GROUP, "--desc", "--limit", "1", "--color", "always"]).await;
    newest.succeeded();
    assert_snapshot!(newest.output.replace('\u{1b}', "ESC"), @r#"ESC[2m2022-12-09T08:28:20.000ZESC[0m  ESC[1mgroup.info_changed      ESC[0m  ESC[2mbyESC[0m =leckie  ESC[2mname=ESC[0m"\u001b[31mred\u202e""#);

    let named = ["--platform", "openim", "--app-id", "openim", "--group-id", "g1", "--kind", "member.*"];
    assert!(history(&table, &named).await.succeeded().contains("member.left"));
    let nothing = history(&table, &[GROUP, "--kind", "topic.*"]).await;
    assert_eq!((nothing.succeeded().as_str(), nothing.output.as_str()), ("", ""));
    assert_eq!(nothing.errors, "Nothing is recorded of this group, or nothing that was asked for.\n");
}

#[tokio::test]
async fn a_history_is_json_lines_or_csv_where_that_is_asked_for() {
    let table = sent().await;
    let json = history(&table, &[GROUP, "--json"]).await;
    json.succeeded();
    let changes: Vec<Value> = json.output.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(changes.len(), 2);
    assert_eq!(changes[1]["change"]["name"], "\u{1b}[31mred\u{202e}", "data is as it is");
    assert!(changes[0]["recorded_at"].is_string() && changes[0].get("raw").is_none());

    let csv = history(&table, &[GROUP, "--csv"]).await;
    csv.succeeded();
    let lines: Vec<&str> = csv.output.split("\r\n").collect();
    assert!(lines[0].starts_with("group_key,change_key,"), "{}", lines[0]);
    assert!(lines[2].contains(",'=leckie,"), "{}", lines[2]);
    assert_eq!((lines.len(), lines[3]), (4, ""));
}

#[tokio::test]
async fn a_long_history_comes_in_pages() {
    let table = sent().await;
    put(&table, 7 * 1_250, Timestamp::now());
    let group = "openim#openim#many-3";
    for (args, expected) in [(&[][..], 1_250), (&["--limit", "1101"], 1_101), (&["--limit", "7"], 7)] {
        let ended = history(&table, &[&[group, "--json"], args].concat()).await;
        ended.succeeded();
        assert_eq!(ended.output.lines().collect::<BTreeSet<_>>().len(), expected, "{args:?}");
        assert_eq!(ended.output.lines().count(), expected, "{args:?}");
    }
    let csv = history(&table, &[group, "--csv"]).await;
    assert_eq!(csv.output.matches("group_key,").count(), 1, "the line of names comes once");
    assert_eq!(csv.output.lines().count(), 1_251);

    // As `| head -1` does.
    let mut process = command(&local(&table.endpoint), &["history", group, "--json"]).spawn().unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let first = timeout(TEST_TIMEOUT, lines.next_line()).await.unwrap().unwrap().unwrap();
    serde_json::from_str::<Value>(&first).unwrap();
    drop(lines);
    let ended = timeout(TEST_TIMEOUT, process.wait_with_output()).await.unwrap().unwrap();
    assert_eq!((ended.status.code(), ended.stderr.as_slice()), (Some(0), &b""[..]));
}

#[tokio::test]
async fn wrong_usage_says_what_to_do() {
    let nothing = BTreeMap::new();
    let local = local("http://127.0.0.1:1");
    for (settings, args, said) in [
        (&nothing, &["history", GROUP][..], "error: no table is named: pass --table NAME or set TABLE_NAME."),
        (&nothing, &["history", GROUP, "--endpoint-url", "127.0.0.1:8000", "--table", "t"], "must begin with http"),
        (&nothing, &["history"], "error: no group is named"),
        (
            &local,
            &["history", "no-key"],
            "error: GROUP must be {platform}#{app_id}#{group_id}, where the platform is tencent-chat or openim.",
        ),
        (
            &local,
            &["history", GROUP, "--from", "yesterday"],
            "error: --from must be a time in RFC 3339, as 2022-12-09T12:40:14.123Z, or a time span before now, as 2h.",
        ),
        (&local, &["history", GROUP, "--kind", "member"], "error: --kind must be a kind"),
        (&local, &["history", GROUP, "--json", "--csv"], "cannot be used with"),
        (&local, &["history", GROUP, "--limit", "0"], "invalid value '0'"),
        (&local, &["follow", "--settle", "301"], "error: --settle must be a whole number from 0 to 300."),
        (&local, &["follow", "--overlap", "10"], "must be a time span"),
        (&local, &["follow", "--every", "0s"], "error: --every must be more than nothing"),
        (&local, &["quarantine", "--day", "today"], "error: --day must be a day, as 2022-12-09."),
        (&local, &["export"], "--output <FILE>"),
        (&nothing, &["dead-letters"], "error: no queue is named: pass --dead-letter-queue-url URL"),
        (
            &nothing,
            &["dead-letters", "redrive", "--dead-letter-queue-url", "http://q"],
            "error: no fallback queue is named",
        ),
        (&nothing, &["send", "127.0.0.1:3000", "tencent-chat-signed"], "no URL to send to"),
        (&nothing, &["completions", "tcsh"], "invalid value 'tcsh'"),
        (&nothing, &["nothing"], "unrecognized subcommand"),
        (&nothing, &[], "Usage: group-ledger"),
    ] {
        let Ended { code, output, errors } = run(settings, args, "").await;
        assert_eq!((code, output.as_str()), (Some(2), ""), "{args:?}: {errors}");
        assert!(errors.contains(said), "{args:?}: {errors}");
    }
}

#[tokio::test]
async fn what_cannot_be_done_is_told_with_what_to_do() {
    let table = Table::start().await;
    let there = local(&table.endpoint);
    let nowhere = local("http://127.0.0.1:1");
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("changes.jsonl");
    let file = file.to_str().unwrap();
    let unreachable = "error: DynamoDB at http://127.0.0.1:1 could not be reached: is it running?\n";
    for (settings, args, said) in [
        (&nowhere, &["history", GROUP][..], unreachable),
        (&nowhere, &["quarantine"], unreachable),
        (&nowhere, &["reprocess"], unreachable),
        (&nowhere, &["export", "--output", file], unreachable),
        (&there, &["history", GROUP, "--table", "other"], "error: there is no table \"other\" at http"),
        (&there, &["follow", "--table", "other"], "error: there is no table \"other\" at http"),
        (&there, &["export", "--output", "/nowhere/changes.jsonl"], "error: cannot write /nowhere/changes.jsonl"),
        (&there, &["recover"], "error: no envelopes found\n"),
        (&there, &["recover", "/nowhere/lines.txt"], "error: cannot read /nowhere/lines.txt"),
        (&there, &["send", "http://127.0.0.1:1", "tencent-chat-signed"], "/tencent-chat cannot be reached"),
        (
            &there,
            &["send", "http://127.0.0.1:1", "nothing.json"],
            "error: cannot read nothing.json; samples without a file are ",
        ),
    ] {
        let Ended { code, errors, .. } = run(settings, args, "").await;
        assert_eq!(code, Some(1), "{args:?}: {errors}");
        assert!(errors.contains(said), "{args:?}: {errors}");
        assert!(!errors.contains(GROUP), "{args:?}: {errors}");
    }
}

#[tokio::test]
async fn quarantine_is_a_line_a_callback() {
    let table = sent().await;
    let quarantine = ["quarantine", "--day", "2024-05-07"];
    let ended = run(&local(&table.endpoint), &quarantine, "").await;
    ended.succeeded();
    assert_snapshot!(ended.output, @r#"2024-05-07T02:40:01.000Z  openim openim  40001  The body is not a JSON object."#);
    let json = run(&local(&table.endpoint), &[&quarantine[..], &["--json"]].concat(), "").await.succeeded();
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap()["raw"], "{");
    let other = run(&local(&table.endpoint), &["quarantine", "--day", "2024-05-08", "--app-id", "1"], "").await;
    assert_eq!((other.succeeded().as_str(), other.output.as_str()), ("", ""));
    assert!(other.errors.starts_with("No quarantined callbacks on 2024-05-08."), "{}", other.errors);
}

#[tokio::test]
async fn completions_are_a_script() {
    for shell in ["bash", "zsh", "fish"] {
        let ended = run(&BTreeMap::new(), &["completions", shell], "").await;
        ended.succeeded();
        assert!(ended.output.contains("dead-letters") && ended.output.contains("overlap"), "{shell}");
    }
}

#[tokio::test]
async fn every_command_explains_itself() {
    let names = [
        "follow",
        "history",
        "state",
        "export",
        "quarantine",
        "reprocess",
        "recover",
        "dead-letters",
        "publish",
        "events",
        "send",
        "smoke",
        "completions",
    ];
    let list = run(&BTreeMap::new(), &["--help"], "").await;
    list.succeeded();
    let listed = list.output.split_once("Commands:\n").unwrap().1.split("\n\n").next().unwrap();
    let listed: Vec<&str> = listed.lines().map(|line| line.split_whitespace().next().unwrap()).collect();
    assert_eq!(listed, [&names[..], &["help"]].concat());
    for name in names {
        let help = run(&BTreeMap::new(), &[name, "--help"], "").await;
        help.succeeded();
        assert!(help.output.contains("Usage: "), "{name}");
        let short = run(&BTreeMap::new(), &[name, "-h"], "").await;
        assert!(short.output.matches("group-ledger ").count() >= 3, "{name} has no examples: {}", short.output);
    }
}

/// A command under way, and what it writes.
struct Running {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Running {
    fn start(settings: &BTreeMap<String, String>, args: &[&str]) -> Self {
        let mut process = command(settings, args).spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, lines }
    }

    async fn line(&mut self) -> String {
        timeout(TEST_TIMEOUT, self.lines.next_line()).await.expect("it writes nothing").unwrap().expect("it ended")
    }

    /// Sends a signal and waits for the end: the exit code, the rest of what it wrote, and its errors.
    async fn end(mut self, signal: &str) -> (Option<i32>, Vec<String>, String) {
        let id = self.process.id().unwrap().to_string();
        assert!(tokio::process::Command::new("kill").args([signal, &id]).status().await.unwrap().success());
        let mut rest = Vec::new();
        while let Some(line) = timeout(TEST_TIMEOUT, self.lines.next_line()).await.unwrap().unwrap() {
            rest.push(line);
        }
        let mut errors = String::new();
        self.process.stderr.take().unwrap().read_to_string(&mut errors).await.unwrap();
        let status = timeout(TEST_TIMEOUT, self.process.wait()).await.unwrap().unwrap();
        (status.code(), rest, errors)
    }
}

#[tokio::test]
async fn what_is_followed_appears_once_until_ctrl_c() {
    let table = sent().await;
    let mut follow = Running::start(&local(&table.endpoint), &["follow", "--settle", "0", "--every", "50ms"]);
    let first = [follow.line().await, follow.line().await, follow.line().await].join("\n");
    assert_snapshot!(first, @r#"
    2022-12-09T08:26:54.123Z  group.created             tencent-chat#1400000000#@TGS#2J4SZEAEL  by group_root  members=["bob"]  name="MyFirstGroup"  owner="leckie"
    2022-12-09T08:28:20.000Z  group.info_changed        tencent-chat#1400000000#@TGS#2J4SZEAEL  by =leckie  name="\u001b[31mred\u202e"
    2024-05-07T02:40:01.000Z  member.left               openim#openim#g1  how="quit"
    "#);
    let body = r#"{"callbackCommand":"callbackAfterJoinGroupCommand","groupID":"g2","applyID":"u2"}"#;
    assert_answer(OPENIM, &Sent::post("/openim", "", body).to(&table.receiver(OPENIM, &[])).await, 200, "sent");
    let new = follow.line().await;
    assert!(new.contains("openim#openim#g2"), "{new}");
    let (code, rest, errors) = follow.end("-INT").await;
    assert_eq!((code, rest.as_slice(), errors.as_str()), (Some(130), &[][..], ""));

    let args = ["follow", "--json", "--settle", "0", "--kind", "group.*", "--platform", "tencent-chat"];
    let mut json = Running::start(&local(&table.endpoint), &args);
    for kind in ["group.created", "group.info_changed"] {
        let change: Value = serde_json::from_str(&json.line().await).unwrap();
        assert_eq!((&change["kind"], change["change"].is_object()), (&json!(kind), true));
    }
    assert_eq!(json.end("-TERM").await.0, Some(143));
}

/// A record that the index shows after the feed has gone past its place.
#[tokio::test]
async fn an_overlap_shows_what_came_late_and_everything_once() {
    let table = sent().await;
    put(&table, 300, Timestamp::now().plus_millis(-60_000));
    let args = ["follow", "--json", "--settle", "0", "--every", "20ms", "--overlap", "5m"];
    let mut follow = Running::start(&local(&table.endpoint), &args);
    let key = |line: String| {
        let change: Value = serde_json::from_str(&line).unwrap();
        format!("{} {}", change["group_key"], change["change_key"])
    };
    let mut seen = BTreeSet::new();
    for _ in 0..303 {
        let key = key(follow.line().await);
        assert!(seen.insert(key.clone()), "{key} comes twice");
    }
    for minutes in [2, 1, 3] {
        put(&table, 1, Timestamp::now().plus_millis(minutes * -60_000));
        let items = table.items();
        let mut late = items
            .iter()
            .find(|item| item["change_key"]["S"] == "2024-05-07T02:40:01.000Z#0000000000000000")
            .unwrap()
            .clone();
        late["group_key"] = json!({ "S": format!("openim#openim#late-{minutes}") });
        table.put(&late);
        let key = key(follow.line().await);
        assert!(key.contains(&format!("late-{minutes}")) && seen.insert(key.clone()), "{key}");
    }
    let (code, rest, errors) = follow.end("-INT").await;
    assert_eq!((code, rest.as_slice(), errors.as_str()), (Some(130), &[][..], ""), "nothing comes twice");
}

/// A round that begins before the overlap, and has more than one page.
#[tokio::test]
async fn an_overlap_shows_nothing_twice_after_a_pause() {
    let table = sent().await;
    put(&table, 1_200, Timestamp::now());
    let args = ["follow", "--settle", "0", "--every", "4s", "--overlap", "3s", "--kind", "member.left"];
    let mut follow = Running::start(&local(&table.endpoint), &args);
    for _ in 0..1_201 {
        follow.line().await;
    }
    let body = r#"{"callbackCommand":"callbackAfterQuitGroupCommand","groupID":"new","quitUserID":"u1"}"#;
    assert_answer(OPENIM, &Sent::post("/openim", "", body).to(&table.receiver(OPENIM, &[])).await, 200, "sent");
    let next = follow.line().await;
    assert!(next.contains("openim#openim#new"), "{next}");
    follow.end("-INT").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn following_goes_on_when_dynamodb_answers_again() {
    let table = sent().await;
    let proxy = Proxy::start(Transport::Plain, &table.endpoint, Fault::Answer(500, "InternalServerError"), 100);
    let mut follow = Running::start(&local(&proxy.endpoint), &["follow", "--settle", "0", "--every", "20ms"]);
    for _ in 0..3 {
        follow.line().await;
    }
    let (code, _, errors) = follow.end("-INT").await;
    assert_eq!(code, Some(130));
    assert!(errors.starts_with("DynamoDB at http://127.0.0.1:"), "{errors}");
    assert!(errors.ends_with("It is asked again until it answers.\nDynamoDB answers again.\n"), "{errors}");
    assert_eq!(errors.lines().count(), 2, "{errors}");
}

/// An export's records, by their keys; each must be there once.
fn exported(file: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(file).unwrap();
    let keys = text.lines().map(|line| {
        let record: Value = serde_json::from_str(line).unwrap();
        format!("{} {}", record["group_key"], record["change_key"])
    });
    let keys: Vec<String> = keys.collect();
    let set: BTreeSet<String> = keys.iter().cloned().collect();
    assert_eq!(set.len(), keys.len(), "a record is there twice");
    set
}

fn recorded(table: &Table) -> BTreeSet<String> {
    table.records().iter().map(|record| format!("{} {}", record["group_key"], record["change_key"])).collect()
}

#[tokio::test]
async fn an_export_has_every_record_and_nothing_else() {
    let table = sent().await;
    let body = format!(
        r#"{{"CallbackCommand":"Group.CallbackAfterCreateGroup","GroupId":"large","Name":"n","EventTime":1715049600123,"MemberList":[{}]}}"#,
        random_members(900_000)
    );
    let large = Sent::post("/tencent-chat", "SdkAppid=1400000000", body.clone());
    assert_answer(TENCENT_CHAT, &large.to(&table.receiver(TENCENT_CHAT, &[])).await, 200, "sent");
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("changes.jsonl");
    let file = file.to_str().unwrap();
    let settings = local(&table.endpoint);
    let ended = run(&settings, &["export", "--output", file], "").await;
    ended.succeeded();
    assert!(ended.errors.starts_with("4 records, "), "{}", ended.errors);
    assert_eq!(ended.output, "");
    assert_eq!(exported(file), recorded(&table));
    let history = history(&table, &[GROUP, "--json"]).await.output;
    let text = fs::read_to_string(file).unwrap();
    assert!(history.lines().all(|line| text.lines().any(|own| own == line)), "a record is told as in its history");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "no checkpoint is left");

    let again = run(&settings, &["export", "--output", file], "").await;
    assert_eq!(again.code, Some(2));
    assert!(again.errors.contains("overwrite it with --force"), "{}", again.errors);
    run(&settings, &["export", "--output", file, "--raw", "--force"], "").await.succeeded();
    assert_eq!(exported(file), recorded(&table));
    let text = fs::read_to_string(file).unwrap();
    let raw =
        text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).find(|line| line["group_id"] == "large");
    assert_eq!(raw.unwrap()["raw"], body);
}

/// Waits until an export's checkpoint says that it has so many records; whether it says so before the export ends.
async fn reaches(checkpoint: &str, records: u64, process: &mut Child) -> bool {
    let reached = async {
        loop {
            let text = fs::read_to_string(checkpoint).unwrap_or_default();
            let json = serde_json::from_str::<Value>(&text).unwrap_or_default();
            if json["records"].as_u64().is_some_and(|own| own >= records) {
                return true;
            }
            if process.try_wait().unwrap().is_some() {
                return false;
            }
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(TEST_TIMEOUT, reached).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_that_is_killed_again_and_again_has_every_record_once() {
    let table = sent().await;
    put(&table, 400, Timestamp::now());
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("changes.jsonl");
    let (file, checkpoint) = (file.to_str().unwrap(), folder.path().join("changes.jsonl.checkpoint"));
    let args = ["export", "--output", file, "--page-size", "3"];
    let settings = local(&table.endpoint);
    let mut kills = 0;
    for records in (0..400).step_by(23) {
        let mut process = command(&settings, &args).stderr(Stdio::null()).spawn().unwrap();
        if reaches(checkpoint.to_str().unwrap(), records, &mut process).await {
            kills += 1;
        }
        process.kill().await.unwrap();
    }
    assert!(kills > 10, "{kills} kills only");
    // What was written after the checkpoint, a part of a line among it.
    let mut text = fs::read(file).unwrap();
    text.extend(b"{\"group_key\":\"half of a");
    fs::write(file, text).unwrap();

    let other = run(&settings, &[&args[..], &["--raw"]].concat(), "").await;
    assert_eq!(other.code, Some(2));
    assert!(other.errors.contains("without --raw: go on with these options"), "{}", other.errors);

    run(&settings, &args, "").await.succeeded();
    assert_eq!(exported(file), recorded(&table));
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "no checkpoint is left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_that_is_stopped_says_how_to_go_on() {
    let table = sent().await;
    put(&table, 50, Timestamp::now());
    let proxy = Proxy::start(Transport::Plain, &table.endpoint, Fault::Hang, 1);
    proxy.only("ExclusiveStartKey");
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("changes.jsonl");
    let (file, checkpoint) = (file.to_str().unwrap(), folder.path().join("changes.jsonl.checkpoint"));
    let args = ["export", "--output", file, "--page-size", "10"];
    let mut export = Running::start(&local(&proxy.endpoint), &args);
    assert!(reaches(checkpoint.to_str().unwrap(), 1, &mut export.process).await);
    let (code, _, errors) = export.end("-INT").await;
    assert_eq!(code, Some(130), "{errors}");
    assert_eq!(errors, format!("{file} has a part of the table: the same command goes on.\n"));
    let ended = run(&local(&proxy.endpoint), &args, "").await;
    ended.succeeded();
    assert!(ended.errors.starts_with("Resuming after "), "{}", ended.errors);
    assert_eq!(exported(file), recorded(&table));
}

/// An environment like an operator's: the table of a deployment, and credentials of its own.
#[tokio::test]
async fn the_credentials_are_the_environments() {
    let table = sent().await;
    let settings = table.settings(&[]);
    let ended = run(&settings, &["history", GROUP], "").await;
    assert!(ended.succeeded().contains("group.info_changed"));
    let folder = TempDir::new().unwrap();
    let config = folder.path().join("config");
    fs::write(&config, "[profile audit]\nregion = eu-central-1\naws_access_key_id = a\naws_secret_access_key = b\n")
        .unwrap();
    let settings = BTreeMap::from([
        ("AWS_CONFIG_FILE".to_owned(), config.to_str().unwrap().to_owned()),
        ("AWS_EC2_METADATA_DISABLED".to_owned(), "true".to_owned()),
        ("TABLE_NAME".to_owned(), TABLE.to_owned()),
    ]);
    let args = ["history", GROUP, "--endpoint-url", &table.endpoint, "--profile", "audit"];
    assert!(run(&settings, &args, "").await.succeeded().contains("group.info_changed"));

    let missing = run(&settings, &["history", GROUP], "").await;
    assert_eq!(missing.code, Some(2), "{}", missing.errors);
    assert!(missing.errors.starts_with("error: no AWS region is set: pass --region"), "{}", missing.errors);
    let missing = run(&settings, &["history", GROUP, "--region", "us-east-1"], "").await;
    assert_eq!(missing.code, Some(1), "{}", missing.errors);
    assert!(missing.errors.starts_with("error: cannot load AWS credentials: log in"), "{}", missing.errors);
}

#[tokio::test]
async fn a_state_that_cannot_be_shown_says_why() {
    let table = sent().await;
    for (args, code, says) in [
        (&["state", "openim#openim#none"][..], 1, "nothing is recorded of this group"),
        (&["state", GROUP, "--at", "2000-01-01T00:00:00Z"], 1, "nothing is recorded of this group up to then"),
        (&["state", GROUP, "--at", "yesterday"], 2, "--at must be a time"),
        (&["state", "nobody"], 2, "GROUP must be"),
        (&["state"], 2, "no group is named"),
    ] {
        let ended = run(&local(&table.endpoint), args, "").await;
        assert_eq!((ended.code, ended.output.as_str()), (Some(code), ""), "{args:?}: {}", ended.errors);
        assert!(ended.errors.contains(says), "{args:?}: {}", ended.errors);
    }
}
