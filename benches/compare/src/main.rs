//! Measures the functions, the floor, the limit and peers in turn, in one run on one machine, against the same stubs of Lambda's
//! Runtime API and of DynamoDB; writes a table, plots and the figures themselves to a folder. With `--server`, the same of the
//! server and its peer. `make bench` builds what it needs and runs both.

mod event;
mod growth;
mod measure;
mod process;
mod report;
mod server;
mod soak;
mod stub;

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::measure::{Authorities, Kind, Run, Subject, Transport, check, run};
use crate::stub::Dynamodb;

/// How often each is started, over TLS and in clear.
const STARTS: [(Transport, &str, usize); 2] = [(Transport::Tls, "tls", 13), (Transport::Clear, "clear", 7)];
/// Warm callbacks after each start.
const WARM: usize = 400;

/// The system's root certificates, where Debian and Amazon Linux have them: a client reads them in its start, on AWS too.
const ROOTS: [&str; 2] = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];

/// The floor, which is sent Tencent's callback.
const FLOOR: &str = "floor";
/// The floor, where it is sent OpenIM's.
const OPENIM_FLOOR: &str = "floor, OpenIM's callback";

/// The peer in Rust, which takes some five minutes to build: left out unless it is asked for.
const DEFAULTS: &str = "Rust, every default";

const HELP: &str = "\
Measures the functions, the floor and peers, or the server and its peer. `make bench` builds what they need.

  compare [--defaults] FUNCTIONS BENCHES OUTPUT [BEFORE]
  compare --server FUNCTIONS BENCHES OUTPUT
  compare --soak NOTED OUTPUT

  --defaults  with the peer in Rust that leaves every default
  FUNCTIONS   the folder of the function binaries, and of the server's
  BENCHES     the folder of the floor's and the peers' sources, built
  OUTPUT      the folder that the table, the plots and the figures are written to
  BEFORE      the folder of another commit's function binaries, to compare with
  NOTED       the file that `make soak` wrote";

#[tokio::main(worker_threads = 1)]
async fn main() -> Result<()> {
    let mut args: Vec<String> = env::args().skip(1).collect();
    let with_defaults = args.first().is_some_and(|arg| arg == "--defaults");
    if with_defaults {
        args.remove(0);
    }
    let folder = |path: &String| Path::new(path).canonicalize().with_context(|| format!("there is no {path}"));
    let (functions, benches, output, before) = match args.as_slice() {
        [flag, functions, benches, output] if flag == "--server" => {
            return server::measure(&folder(functions)?, &folder(benches)?, Path::new(output)).await;
        }
        [flag, noted, output] if flag == "--soak" => return soak::write(Path::new(noted), Path::new(output)),
        [functions, benches, output] => (functions, benches, output, None),
        [functions, benches, output, before] => (functions, benches, output, Some(before)),
        _ => {
            println!("{HELP}");
            std::process::exit(if args.iter().any(|arg| arg == "--help") { 0 } else { 2 });
        }
    };
    let before = before.map(folder).transpose()?;
    let (functions, benches) = (folder(functions)?, folder(benches)?);
    fs::create_dir_all(output)?;
    let mut subjects = subjects(&functions, before.as_deref(), &benches, &python()?);
    subjects.retain(|subject| with_defaults || subject.name != DEFAULTS);
    for subject in &subjects {
        for path in &subject.deployed {
            anyhow::ensure!(
                path.exists(),
                "{} is not there: make bench builds all but what BEFORE has",
                path.display()
            );
        }
    }

    let dynamodb = Dynamodb::start().await?;
    let folder = tempfile::tempdir()?;
    let authorities = Authorities { own: folder.path().join("own.pem"), all: folder.path().join("all.pem") };
    let roots =
        ROOTS.into_iter().find_map(|path| fs::read_to_string(path).ok()).context("there are no root certificates")?;
    fs::write(&authorities.own, &dynamodb.authority)?;
    fs::write(&authorities.all, roots + &dynamodb.authority)?;

    for subject in &subjects {
        println!("checking {}", subject.name);
        check(subject, &dynamodb, &authorities, Transport::Tls).await?;
    }
    let mut runs: BTreeMap<(usize, &str), Vec<Run>> = BTreeMap::new();
    for (transport, name, starts) in STARTS {
        for start in 0..starts {
            println!("{name}, start {} of {starts}", start + 1);
            // In turn, so that what else the machine does meets them alike, and each time after another one.
            for number in (0..subjects.len()).map(|number| (number + start) % subjects.len()) {
                let subject = &subjects[number];
                // The one before has ended, and so has what it left to do.
                tokio::time::sleep(Duration::from_millis(100)).await;
                let run = run(subject, &dynamodb, &authorities, transport, WARM).await;
                let run = run.with_context(|| format!("{} over {name}", subject.name))?;
                runs.entry((number, name)).or_default().push(run);
            }
        }
    }
    let growth = growth::measure(&subjects, &dynamodb, &authorities).await?;
    report::write(Path::new(output), &benches, &subjects, &runs, &growth)
}

/// The Python that `python3` comes to: what stands in front of it is no part of the peer.
fn python() -> Result<String> {
    let output = Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output()?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

fn subjects(functions: &Path, before: Option<&Path>, benches: &Path, interpreter: &str) -> Vec<Subject> {
    let create_group = || event::create_group(3);
    let rust = |name, kind, binary: PathBuf| Subject {
        name,
        program: vec![binary.display().to_string()],
        folder: functions.to_owned(),
        callback: create_group,
        floor: FLOOR,
        deployed: vec![binary],
        kind,
    };
    let sent_openim = |subject| Subject { callback: event::set_group_info, floor: OPENIM_FLOOR, ..subject };
    let functions_in = |folder: &Path, tencent_chat, openim| {
        [
            rust(tencent_chat, Kind::Function, folder.join("tencent-chat")),
            sent_openim(rust(openim, Kind::Function, folder.join("openim"))),
        ]
    };
    // As benches/.cargo/config.toml has it.
    let built = benches.join("../target");
    let (node, python) = (benches.join("peers/node"), benches.join("peers/python"));
    let packages = python.join(".packages");
    let mut subjects = Vec::from(functions_in(functions, "tencent-chat", "openim"));
    if let Some(before) = before {
        subjects.extend(functions_in(before, "tencent-chat (before)", "openim (before)"));
    }
    subjects.extend([
        rust(FLOOR, Kind::Bare, built.join("release/floor")),
        sent_openim(rust(OPENIM_FLOOR, Kind::Bare, built.join("release/floor"))),
        rust("floor (lambda_http)", Kind::Bare, built.join("release/floor-http")),
        rust("limit", Kind::Bare, built.join("release/limit")),
        rust(DEFAULTS, Kind::Peer, built.join("lambda/rust-default")),
        Subject {
            name: "Node 20, SDK v3",
            program: vec!["node".to_owned(), "runtime.mjs".to_owned()],
            callback: create_group,
            floor: FLOOR,
            deployed: ["function.mjs", "callback.mjs", "node_modules"].map(|path| node.join(path)).into(),
            folder: node,
            kind: Kind::Peer,
        },
        Subject {
            name: "Python 3, boto3",
            program: [interpreter, "-m", "awslambdaric", "function.handler"].map(str::to_owned).into(),
            callback: create_group,
            floor: FLOOR,
            deployed: vec![python.join("function.py"), packages],
            folder: python,
            kind: Kind::Peer,
        },
    ]);
    subjects
}
