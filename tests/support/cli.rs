//! The command line, as a process of its own.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::timeout;

use crate::support::TEST_TIMEOUT;

/// What a command came to.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) output: String,
    pub(crate) errors: String,
}

impl Ended {
    /// The last line of a command that must have succeeded.
    pub(crate) fn succeeded(&self) -> String {
        assert_eq!(self.code, Some(0), "{}{}", self.output, self.errors);
        self.output.lines().last().unwrap_or_default().to_owned()
    }
}

/// The command line with these settings and no others.
pub(crate) fn command(settings: &BTreeMap<String, String>, args: &[&str]) -> Command {
    // Not by its own variable, without which the other tests would not compile either.
    let own_build = PathBuf::from(env!("CARGO_BIN_EXE_openim")).parent().unwrap().to_owned();
    let program = own_build.join("group-ledger");
    assert!(program.exists(), "there is no group-ledger: `cargo test --features cli` builds it");
    let mut command = Command::new(program);
    command
        .args(args)
        .env_clear()
        .envs(settings)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Runs a command to its end, with an input.
pub(crate) async fn run(settings: &BTreeMap<String, String>, args: &[&str], input: &str) -> Ended {
    let mut process = command(settings, args).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = process.stdin.take().unwrap();
    let write = async move {
        // Whoever ends early does not read it.
        let _ = stdin.write_all(input.as_bytes()).await;
        drop(stdin);
    };
    let (output, ()) = tokio::join!(timeout(TEST_TIMEOUT, process.wait_with_output()), write);
    let output = output.unwrap().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended { code: output.status.code(), output: text(output.stdout), errors: text(output.stderr) }
}
