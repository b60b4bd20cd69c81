//! A server under load: its start, its processes and what they cost.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::process::Child;
use tokio::time::sleep;

use crate::event;
use crate::measure::{command, read_log};
use crate::process;
use crate::server::load::{Connection, callbacks};
use crate::stub::{Counts, Dynamodb};

/// Far longer than a start takes.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a server is left alone, so that what it still does is not counted as load.
pub(super) const SETTLES: Duration = Duration::from_secs(2);

/// What is measured.
pub(super) struct Subject {
    pub(super) name: &'static str,
    pub(super) program: Vec<String>,
    pub(super) folder: PathBuf,
}

/// Both servers.
pub(super) fn subjects(functions: &Path, benches: &Path) -> [Subject; 2] {
    [
        Subject {
            name: "server",
            program: vec![functions.join("server").display().to_string()],
            folder: functions.to_owned(),
        },
        Subject {
            name: "Node 20, Express",
            program: vec!["node".to_owned(), "server.mjs".to_owned()],
            folder: benches.join("peers/express"),
        },
    ]
}

/// Bytes of memory, of all processes together.
#[derive(Clone, Copy)]
pub(super) struct Memory {
    pub(super) resident: u64,
    /// Each shared page counts once.
    pub(super) proportional: u64,
}

/// A started server.
pub(super) struct Server {
    pub(super) port: u16,
    process: Child,
    pid: u32,
}

impl Server {
    /// Starts a server that has no fallback but the stub's queue, and waits until it is ready.
    pub(super) async fn start(subject: &Subject, dynamodb: &Dynamodb) -> Result<Self> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let mut command = command(&subject.program, &subject.folder, &dynamodb.clear, dynamodb);
        command
            .envs([("HOST", "127.0.0.1".to_owned()), ("PORT", port.to_string())])
            .env("OPENIM_CREDENTIALS", event::CREDENTIALS)
            .env("NODE_ENV", "production");
        let mut process = command.spawn().with_context(|| format!("cannot start {}", subject.name))?;
        read_log(&mut process);
        let pid = process.id().context("it has ended")?;
        let server = Self { port, process, pid };
        let start = Instant::now();
        while !server.is_ready().await {
            ensure!(start.elapsed() < START_TIMEOUT, "{} does not start", subject.name);
            sleep(Duration::from_millis(20)).await;
        }
        // Node's other worker too.
        sleep(SETTLES).await;
        Ok(server)
    }

    async fn is_ready(&self) -> bool {
        let Ok(mut connection) = Connection::open(self.port).await else { return false };
        connection.get("/readyz").await.is_ok_and(|status| status == 200)
    }

    /// The processor time so far, of all processes.
    pub(super) fn cpu(&self) -> Result<Duration> {
        process::family(self.pid)?.into_iter().map(process::cpu).sum()
    }

    pub(super) fn memory(&self) -> Result<Memory> {
        let family = process::family(self.pid)?;
        Ok(Memory {
            resident: family.iter().map(|pid| process::memory(*pid)).sum::<Result<_>>()?,
            proportional: family.iter().map(|pid| process::proportional_memory(*pid)).sum::<Result<_>>()?,
        })
    }

    /// Ends it; workers end when the process that started them has gone.
    pub(super) async fn end(mut self) -> Result<()> {
        self.process.kill().await?;
        sleep(Duration::from_millis(200)).await;
        Ok(())
    }
}

/// Sees that a server rejects what is not genuine: one that does not check would be measured as a fast one.
pub(super) async fn check(subject: &Subject, dynamodb: &Dynamodb) -> Result<()> {
    let server = Server::start(subject, dynamodb).await?;
    let before = dynamodb.counts();
    let mut connection = Connection::open(server.port).await?;
    for (callback, expected) in callbacks()?.iter().zip([403, 401]) {
        let status = connection.status(&callback.forged()?).await?;
        ensure!(status == expected, "{} answers {status} to what is forged, and not {expected}", subject.name);
    }
    ensure!(dynamodb.counts().since(before) == Counts::default(), "{} stores what is forged", subject.name);
    server.end().await
}
