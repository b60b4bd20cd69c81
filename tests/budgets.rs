//! What a callback and its function may cost, as far as that is no matter of the machine's mood: sizes, dependencies,
//! allocations, instructions. What takes the functions as they are deployed is run by `make budgets`; `make bench` measures time.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use allocation_counter::measure;
use flate2::Compression;
use flate2::write::DeflateEncoder;
use group_ledger::domain::record::Record;
use group_ledger::domain::request::Request;
use group_ledger::domain::timestamp::Timestamp;
use group_ledger::host::lambda::event::response;
use group_ledger::ingest::read;
use group_ledger::platform::{Decoded, PLATFORMS, Platform, Registration};

use crate::support::lambda::Function;
use crate::support::{OPENIM, Sent, TENCENT_CHAT, Table, platform};

#[test]
#[ignore = "needs the functions as they are deployed: make budgets"]
fn a_function_is_small() {
    for platform in PLATFORMS {
        let binary = format!("target/release/{}", platform.name);
        let hint = format!("there is no {binary}: run make budgets");
        let mut bytes = Vec::new();
        fs::File::open(&binary).expect(&hint).read_to_end(&mut bytes).unwrap();
        let mut zip = DeflateEncoder::new(Vec::new(), Compression::default());
        zip.write_all(&bytes).unwrap();
        let (size, zipped) = (bytes.len(), zip.finish().unwrap().len());
        assert!(size <= 6_000_000, "{binary} has {size} bytes");
        // `lambda_http` and the crates under it are 0.1 MB of it.
        assert!(zipped <= 2_800_000, "{binary} has {zipped} bytes in a zip");
    }
}

/// The names of the packages that are linked into the functions, with their versions.
fn dependencies() -> BTreeSet<(String, String)> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let arguments = ["tree", "--locked", "--offline", "--edges", "normal", "--prefix", "none", "--format", "{p}"];
    let output = Command::new(cargo).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let package = |line: &str| {
        let mut words = line.split(' ');
        Some((words.next()?.to_owned(), words.next()?.to_owned()))
    };
    String::from_utf8(output.stdout).unwrap().lines().filter_map(package).collect()
}

/// What only the reader or only the publisher needs is compiled for all and linked into it alone; what only the command line needs,
/// or the server, into no function: `httpdate` is of the side of hyper that serves. A panic's place has its package's path.
#[test]
#[ignore = "needs the functions as they are deployed: make budgets"]
fn a_function_links_nothing_of_another_of_the_command_line_or_of_the_server() {
    let links = |binary: &str, package: &str| {
        let bytes = fs::read(binary).unwrap_or_else(|_| panic!("there is no {binary}: run make budgets"));
        String::from_utf8_lossy(&bytes).contains(&format!("/{package}-"))
    };
    let receivers = || PLATFORMS.map(|platform| platform.name).into_iter();
    for package in ["axum", "axum-core", "matchit"] {
        assert!(links("target/release/reader", package), "{package}: the test would see nothing");
        for name in receivers().chain(["publisher", "replay"]) {
            assert!(!links(&format!("target/release/{name}"), package), "{name} links {package}");
        }
    }
    let package = "aws-sdk-eventbridge";
    assert!(links("target/release/publisher", package), "{package}: the test would see nothing");
    for name in receivers().chain(["reader", "replay"]) {
        assert!(!links(&format!("target/release/{name}"), package), "{name} links {package}");
    }
    for package in ["aws-config", "clap_builder", "httpdate", "indicatif", "prometheus-client", "signal-hook"] {
        for name in receivers().chain(["publisher", "reader", "replay"]) {
            assert!(!links(&format!("target/release/{name}"), package), "{name} links {package}");
        }
    }
}

/// What every crate of a build is compiled with: its features, by its name and version.
fn features(arguments: &[&str]) -> BTreeSet<String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let common = ["tree", "--locked", "--prefix", "none", "--no-dedupe", "--format", "{p} {f}"];
    let output = Command::new(cargo).args(common).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    lines.lines().filter(|line| !line.starts_with("group-ledger ")).map(|line| line.trim_end().to_owned()).collect()
}

/// Else one build would compile the other's dependencies again, the SDK with them, and a function could link what only the command
/// line or the server needs.
#[test]
fn the_command_line_and_the_server_change_no_crate_of_the_functions() {
    let of_ours = |with: &[&str]| features(&[&["--offline", "--edges", "normal,build"], with].concat());
    let functions = of_ours(&[]);
    let has = |crates: &BTreeSet<String>, package| crates.iter().any(|line| line.starts_with(&format!("{package} v")));
    for (feature, packages) in [("cli", ["aws-config", "clap"]), ("server", ["prometheus-client", "rlimit"])] {
        let others = of_ours(&["--features", feature]);
        let changed: Vec<_> = functions.difference(&others).collect();
        assert!(changed.is_empty(), "other features with `{feature}`: {changed:?}");
        for package in packages {
            assert!(has(&others, package) && !has(&functions, package), "{package}");
        }
    }
}

/// Else `make bench` would compile the SDK once more for each of them.
#[test]
#[ignore = "may download what the benchmarks are built of: make budgets"]
fn the_benchmarks_are_built_of_the_functions_crates() {
    let functions = features(&["--edges", "normal,build"]);
    // As `make bench` builds them: what is built together has its features together.
    for packages in [&["decode"][..], &["floor", "floor-http"]] {
        let mut of_them = vec!["--manifest-path", "benches/Cargo.toml", "--edges", "normal,build,dev"];
        of_them.extend(packages.iter().flat_map(|package| ["--package", *package]));
        let changed: Vec<_> = functions.difference(&features(&of_them)).cloned().collect();
        assert!(changed.is_empty(), "other features for {packages:?}: {changed:?}");
    }
}

#[test]
fn there_is_one_of_each_stack() {
    let dependencies = dependencies();
    for stack in ["hyper", "http", "rustls", "ring", "tokio", "serde_json", "sha2"] {
        let versions: Vec<_> = dependencies.iter().filter(|(name, _)| name == stack).collect();
        assert_eq!(versions.len(), 1, "{versions:?}");
    }
    let others = ["aws-lc-rs", "aws-lc-sys", "openssl", "openssl-sys", "native-tls", "reqwest"];
    for other in others {
        assert!(!dependencies.iter().any(|(name, _)| name == other), "{other} is linked");
    }
    assert!(dependencies.len() <= MAX_DEPENDENCIES, "{} dependencies", dependencies.len());
}

/// Most are the SDK's own; fifteen are `lambda_http`'s and its events', seven the reader's, three the items'.
const MAX_DEPENDENCIES: usize = 200;

/// Reads, verifies, decodes, records and answers one event, but for the store.
fn pure_path(platform: &dyn Platform, event: &str) -> String {
    let sent = crate::support::http(event);
    let request = Request::of(&sent, Timestamp::now());
    let verified = read::verify(platform, &request).unwrap().unwrap();
    let (callback, _) = read::parse(platform, verified);
    let Ok(Decoded::Change(change)) = read::decode(platform, &callback) else { panic!("no change") };
    let record = Record::new(platform.name(), platform.app_id(), change, &callback, None);
    let answer = serde_json::to_string(&response(platform.respond(Some(&request), Ok(())))).unwrap();
    record.change_key() + &answer
}

fn allocations(registration: &Registration, sample: &str, tokens: &str) -> u64 {
    let platform = platform(registration, &[("TENCENT_CALLBACK_TOKENS", tokens)]);
    let event = fs::read_to_string(Path::new("events").join(sample)).unwrap();
    pure_path(&*platform, &event);
    measure(|| drop(pure_path(&*platform, &event))).count_total
}

#[test]
fn a_typical_callback_allocates_little() {
    for (sample, allocations) in [
        ("tencent-chat-signed.json", allocations(TENCENT_CHAT, "tencent-chat-signed.json", "xxxxyyyy")),
        ("openim-set-group-info-ex.json", allocations(OPENIM, "openim-set-group-info-ex.json", "")),
    ] {
        // Some 40 are ours; `lambda_http` makes a map of the headers, one of the query, and the context of owned texts.
        assert!(allocations < 170, "{sample}: {allocations} allocations");
    }
}

/// Of a whole callback in the function as it is deployed, with the SDK, both connections, log and metrics. 682,000 were
/// counted; a quarter of them hash in software, because valgrind knows no SHA instructions.
#[cfg(target_arch = "x86_64")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the functions as they are deployed: make budgets"]
async fn a_typical_callback_takes_few_instructions() {
    if Command::new("valgrind").arg("--version").output().is_err() {
        // Elsewhere `make budgets` says that instructions are not counted.
        assert!(std::env::var_os("CI").is_none(), "CI counts instructions: install valgrind");
        return;
    }
    let [few, many] = [50, 150];
    let taken = instructions(many).await - instructions(few).await;
    let each = taken / (many - few);
    // A tenth above what was counted: how often a wait is woken differs from run to run.
    assert!(each <= MAX_INSTRUCTIONS, "{each} instructions a callback");
}

#[cfg(target_arch = "x86_64")]
const MAX_INSTRUCTIONS: u64 = 750_000;

/// How many instructions a function takes for its start and so many callbacks.
#[cfg(target_arch = "x86_64")]
async fn instructions(callbacks: u64) -> u64 {
    let table = Table::start().await;
    let counts = tempfile::tempdir().unwrap();
    let file = counts.path().join("counts");
    let program = ["valgrind", "--tool=callgrind", &format!("--callgrind-out-file={}", file.display())];
    let settings =
        table.settings(&[("METRICS_NAMESPACE", "Here"), ("FALLBACK_QUEUE_URL", "http://127.0.0.1:1/fallback-queue")]);
    let function = Function::start_under(&program, "target/release/openim", &settings).await;
    for number in 0..callbacks {
        let body = format!(
            r#"{{"callbackCommand":"callbackAfterSetGroupInfoExCommand","groupID":"g{number:03}","groupName":"n"}}"#
        );
        let sent = Sent::post("/openim", "", body);
        assert!(function.invoke(sent.event(), Duration::from_mins(1)).await.body.is_some());
    }
    function.terminate().await;
    let counts = fs::read_to_string(file).unwrap();
    let total = counts.lines().find_map(|line| line.strip_prefix("summary: ").or(line.strip_prefix("totals: ")));
    total.unwrap().trim().parse().unwrap()
}
