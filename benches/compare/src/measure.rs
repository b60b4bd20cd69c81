//! Starts a function, sends it callbacks, and counts what that costs.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::event;
use crate::process::{cpu, peak_memory};
use crate::stub::{Counts, Dynamodb, Mode, RuntimeApi};

/// Far longer than anything takes.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What is measured.
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    pub(crate) program: Vec<String>,
    pub(crate) folder: PathBuf,
    pub(crate) callback: fn() -> String,
    /// The name of the floor that is sent the same.
    pub(crate) floor: &'static str,
    /// What is deployed: the binary, or the folders and files.
    pub(crate) deployed: Vec<PathBuf>,
    pub(crate) kind: Kind,
}

/// What becomes of a callback that DynamoDB does not take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A duplicate is success; with DynamoDB down, the callback goes to SQS.
    Function,
    /// A duplicate is success; with DynamoDB down, the callback fails.
    Peer,
    /// Knows no duplicates: whatever is not taken fails.
    Bare,
}

/// The certificates of those who are trusted, in PEM.
pub(crate) struct Authorities {
    /// The one that vouches for the stub.
    pub(crate) own: PathBuf,
    /// That, and the system's.
    pub(crate) all: PathBuf,
}

/// Whether DynamoDB is reached over TLS, as on AWS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Tls,
    Clear,
}

/// What one start and the callbacks after it cost.
pub(crate) struct Run {
    pub(crate) start_wall: Duration,
    pub(crate) start_cpu: Duration,
    pub(crate) first_wall: Duration,
    pub(crate) first_cpu: Duration,
    /// Each warm callback.
    pub(crate) warm_wall: Vec<Duration>,
    /// All warm callbacks together.
    pub(crate) warm_cpu: Duration,
    pub(crate) peak_memory: u64,
}

/// A started function.
pub(crate) struct Started {
    process: Child,
    runtime_api: RuntimeApi,
    pid: u32,
    start_wall: Duration,
    start_cpu: Duration,
}

impl Started {
    pub(crate) async fn new(
        subject: &Subject,
        dynamodb: &Dynamodb,
        authorities: &Authorities,
        transport: Transport,
    ) -> Result<Self> {
        let runtime_api = RuntimeApi::start().await?;
        let endpoint = if transport == Transport::Tls { &dynamodb.tls } else { &dynamodb.clear };
        let mut command = command(&subject.program, &subject.folder, endpoint, dynamodb);
        command
            .env("AWS_LAMBDA_RUNTIME_API", &runtime_api.address)
            .env("AWS_LAMBDA_FUNCTION_NAME", "here")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("OPENIM_ALLOW_ANONYMOUS", "true")
            // As the template has it.
            .env("METRICS_NAMESPACE", "GroupLedger/here")
            // As each of the clients is told of them; Node has the others built in.
            .env("SSL_CERT_FILE", &authorities.all)
            .env("AWS_CA_BUNDLE", &authorities.all)
            .env("NODE_EXTRA_CA_CERTS", &authorities.own)
            // Where the Python peer's packages are.
            .env("PYTHONPATH", ".packages");
        let start = Instant::now();
        let mut process = command.spawn().with_context(|| format!("cannot start {}", subject.name))?;
        read_log(&mut process);
        let pid = process.id().context("it has ended")?;
        let ready = timeout(TIMEOUT, runtime_api.ready()).await;
        let ready = ready.with_context(|| format!("{} does not start", subject.name))??;
        Ok(Self { start_wall: ready - start, start_cpu: cpu(pid)?, process, runtime_api, pid })
    }

    /// Sends one callback, which must be answered as success; how long that took.
    pub(crate) async fn call(&self, event: &str) -> Result<Duration> {
        let start = Instant::now();
        let (answered, answer) = timeout(TIMEOUT, self.runtime_api.invoke(event)).await??;
        let answer: serde_json::Value = serde_json::from_slice(&answer)?;
        ensure!(answer["statusCode"] == 200, "it answered {answer}");
        Ok(answered - start)
    }

    /// Sends one callback, however it is answered: whether as success. A function that ends, or says nothing, has failed.
    async fn succeeds(&mut self, event: &str) -> Result<bool> {
        let answer = tokio::select! {
            answered = timeout(TIMEOUT, self.runtime_api.invoke(event)) => match answered {
                Ok(answered) => answered?.1,
                Err(_) => return Ok(false),
            },
            ended = self.process.wait() => {
                ended?;
                return Ok(false);
            }
        };
        let answer: serde_json::Value = serde_json::from_slice(&answer)?;
        Ok(answer["statusCode"] == 200)
    }

    /// The processor time so far.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        cpu(self.pid)
    }

    pub(crate) async fn end(mut self) -> Result<()> {
        Ok(self.process.kill().await?)
    }
}

/// A program in an environment that has the stubs, the table, an app, and nothing else.
pub(crate) fn command(program: &[String], folder: &Path, endpoint: &str, dynamodb: &Dynamodb) -> Command {
    let mut command = Command::new(&program[0]);
    command
        .args(&program[1..])
        .current_dir(folder)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .envs([("AWS_REGION", "us-east-1"), ("AWS_DEFAULT_REGION", "us-east-1")])
        .envs([("AWS_ACCESS_KEY_ID", "local"), ("AWS_SECRET_ACCESS_KEY", "local")])
        // As long as Lambda's.
        .env("AWS_SESSION_TOKEN", "token".repeat(200))
        .env("AWS_ENDPOINT_URL_DYNAMODB", endpoint)
        .env("TABLE_NAME", "group-changes")
        .envs([("TENCENT_SDK_APP_ID", event::APP_ID), ("TENCENT_CALLBACK_TOKENS", event::TOKEN)])
        .env("FALLBACK_QUEUE_URL", format!("{}/000000000000/fallback-queue", dynamodb.sqs))
        .env("AWS_ENDPOINT_URL_SQS", &dynamodb.sqs)
        .stdin(Stdio::null())
        // A pipe that is read, as Lambda's and a container's.
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    command
}

/// Reads what a process writes to its log, which would else wait.
pub(crate) fn read_log(process: &mut Child) {
    if let Some(mut log) = process.stdout.take() {
        tokio::spawn(async move { tokio::io::copy(&mut log, &mut tokio::io::sink()).await });
    }
}

/// Sees that a subject tells apart what DynamoDB takes, has already and fails at: a failure that passes for success would
/// be measured as a fast callback.
pub(crate) async fn check(
    subject: &Subject,
    dynamodb: &Dynamodb,
    authorities: &Authorities,
    transport: Transport,
) -> Result<()> {
    let is_function = subject.kind == Kind::Function;
    for (mode, succeeds) in [(Mode::Takes, true), (Mode::HasIt, subject.kind != Kind::Bare), (Mode::Fails, is_function)]
    {
        let mut started = Started::new(subject, dynamodb, authorities, transport).await?;
        let event = (subject.callback)();
        // What a duplicate is a duplicate of.
        dynamodb.requests();
        started.call(&event).await?;
        let before = dynamodb.counts();
        dynamodb.set(mode);
        let has_succeeded = started.succeeds(&event::again(&event)).await;
        dynamodb.set(Mode::Takes);
        started.end().await?;
        let counts = dynamodb.counts().since(before);
        let expected = match mode {
            Mode::Takes => Counts { items: 1, ..Counts::default() },
            // Of a callback that has no time of its own, both keys are tried.
            Mode::HasIt => Counts { duplicates: counts.duplicates.clamp(1, 2), ..Counts::default() },
            // Tried again, as often as each likes.
            Mode::Fails => {
                Counts { failures: counts.failures.max(1), messages: u64::from(is_function), ..Counts::default() }
            }
        };
        ensure!(counts == expected, "{}, {mode:?}: {counts:?} is not {expected:?}", subject.name);
        ensure!(has_succeeded? == succeeds, "{}, {mode:?}: success is {}", subject.name, !succeeds);
    }
    Ok(())
}

/// Starts a subject and sends it `warm` callbacks after the first. Every callback must have put one item.
pub(crate) async fn run(
    subject: &Subject,
    dynamodb: &Dynamodb,
    authorities: &Authorities,
    transport: Transport,
    warm: usize,
) -> Result<Run> {
    let started = Started::new(subject, dynamodb, authorities, transport).await?;
    let event = (subject.callback)();
    let before = dynamodb.counts();
    let first_wall = started.call(&event).await?;
    let first_cpu = started.cpu()? - started.start_cpu;
    // What is compiled or cached on the way is not what is measured.
    for _ in 0..warm {
        started.call(&event).await?;
    }
    let warm_before = started.cpu()?;
    let mut warm_wall = Vec::with_capacity(warm);
    for _ in 0..warm {
        warm_wall.push(started.call(&event).await?);
    }
    let run = Run {
        start_wall: started.start_wall,
        start_cpu: started.start_cpu,
        first_wall,
        first_cpu,
        warm_wall,
        warm_cpu: started.cpu()? - warm_before,
        peak_memory: peak_memory(started.pid)?,
    };
    started.end().await?;
    ensure_items(subject, dynamodb.counts().since(before), 1 + 2 * warm)?;
    Ok(run)
}

/// Fails unless so many callbacks were an item each, and nothing else.
pub(crate) fn ensure_items(subject: &Subject, counts: Counts, callbacks: usize) -> Result<()> {
    let expected = Counts { items: u64::try_from(callbacks)?, ..Counts::default() };
    ensure!(counts == expected, "{}: {counts:?} of {callbacks} callbacks", subject.name);
    Ok(())
}
