//! The built server, as a process of its own.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::support::TEST_TIMEOUT;
use crate::support::lambda::functions_dir;

/// A started server.
pub(crate) struct Server {
    process: Child,
    log: Arc<Mutex<String>>,
    reading: JoinHandle<()>,
    pub(crate) port: u16,
}

/// The server with these settings and no others.
pub(crate) fn command(settings: &BTreeMap<String, String>) -> Command {
    let program = functions_dir().join("server");
    assert!(program.exists(), "there is no {}: `cargo build --features server` builds it", program.display());
    let mut command = Command::new(program);
    command
        .env_clear()
        // Never this machine's own account.
        .envs([("AWS_EC2_METADATA_DISABLED", "true"), ("HOME", "/nonexistent")])
        .envs([("HOST", "127.0.0.1"), ("PORT", "0")])
        .envs(settings.iter().filter(|(_, value)| !value.is_empty()))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    command
}

impl Server {
    /// Starts the server with these settings and no others, on a port of its own.
    pub(crate) async fn start(settings: &BTreeMap<String, String>) -> Self {
        Self::of(command(settings)).await
    }

    /// Starts the server that a command runs.
    pub(crate) async fn of(mut command: Command) -> Self {
        let mut process = command.spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let written = Arc::clone(&log);
        let reading = tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                let mut log = written.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
            }
        });
        let mut server = Self { process, log, reading, port: 0 };
        server.port = server.port_of("listening").await;
        server
    }

    /// The port that a line of the log names.
    pub(crate) async fn port_of(&self, message: &str) -> u16 {
        let line = self.logged(&format!(r#""message":"{message}""#)).await;
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        line["address"].as_str().unwrap().rsplit(':').next().unwrap().parse().unwrap()
    }

    /// The first line of the log that has a text, as soon as there is one.
    pub(crate) async fn logged(&self, text: &str) -> String {
        let line = async {
            loop {
                if let Some(line) = self.log().lines().find(|line| line.contains(text)) {
                    return line.to_owned();
                }
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(TEST_TIMEOUT, line).await.unwrap_or_else(|_| panic!("no {text} in {}", self.log()))
    }

    /// What it has logged by now.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.process.id().unwrap()
    }

    /// Sends it a signal.
    pub(crate) async fn signal(&self, signal: &str) {
        let id = self.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().await.unwrap().success());
    }

    /// Waits until it has ended; its exit code and its log.
    pub(crate) async fn ended(mut self) -> (Option<i32>, String) {
        let status = timeout(TEST_TIMEOUT, self.process.wait()).await.unwrap().unwrap();
        timeout(TEST_TIMEOUT, &mut self.reading).await.unwrap().unwrap();
        (status.code(), self.log())
    }

    /// Ends it as containers are ended; its log.
    pub(crate) async fn end(self) -> String {
        self.signal("-TERM").await;
        let (code, log) = self.ended().await;
        assert_eq!(code, Some(0), "{log}");
        assert!(!log.contains(r#""message":"panic""#), "{log}");
        assert!(!log.contains("shutdown timed out"), "{log}");
        log
    }
}
