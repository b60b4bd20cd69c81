//! The local stack: the Lambda API (`cargo lambda watch`) and one process a function, DynamoDB, SQS and EventBridge, and the event
//! sources that hand the fallback queue's messages to the replay and the table's stream to the publisher.

use std::env;
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use group_ledger::platform::PLATFORMS;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{sleep, timeout};

use crate::bus::{self, LocalBus};
use crate::database;
use crate::dynamodb::Dynamodb;
use crate::event_source;
use crate::queue::{self, Definitions, Queues};
use crate::stream_source::{self, StreamSource};
use crate::template::Template;

/// How long the stack may take to answer.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// Where the template says minutes, so that a message that failed is soon tried again.
const VISIBILITY_SECONDS: u64 = 2;

/// What the stack is told.
pub(crate) struct Options {
    port: u16,
    dynamodb_host: IpAddr,
    dynamodb_port: u16,
    sqs_port: u16,
    eventbridge_port: u16,
    ledger_file: String,
    functions_dir: PathBuf,
    table: String,
    reader_tokens: ReaderTokens,
}

/// Who may read the local ledger.
enum ReaderTokens {
    /// Those that the environment sets.
    Given(String),
    /// Whoever has this token, which is shown: it is this start's and this machine's alone.
    Made(String),
}

impl ReaderTokens {
    fn from_env() -> Result<Self> {
        let given = setting("READER_TOKENS", "");
        if !given.is_empty() {
            return Ok(Self::Given(given));
        }
        let mut bytes = [0; 16];
        File::open("/dev/urandom")
            .and_then(|mut random| random.read_exact(&mut bytes))
            .context("cannot make a token")?;
        Ok(Self::Made(hex::encode(bytes)))
    }

    fn setting(&self) -> String {
        match self {
            Self::Given(tokens) => tokens.clone(),
            Self::Made(token) => format!("local:{token}"),
        }
    }
}

impl Options {
    /// The options that the environment sets, else their defaults.
    pub(crate) fn from_env() -> Result<Self> {
        Ok(Self {
            port: port("PORT", 3000)?,
            dynamodb_host: setting("DYNAMODB_HOST", "127.0.0.1")
                .parse()
                .context("DYNAMODB_HOST must be an IP address")?,
            dynamodb_port: port("DYNAMODB_PORT", 8000)?,
            sqs_port: port("SQS_PORT", 9324)?,
            eventbridge_port: port("EVENTBRIDGE_PORT", 9325)?,
            ledger_file: setting("LEDGER_FILE", ".local/ledger.sqlite"),
            functions_dir: setting("FUNCTIONS_DIR", "target/debug").into(),
            table: setting("TABLE_NAME", "group-changes"),
            reader_tokens: ReaderTokens::from_env()?,
        })
    }

    fn dynamodb(&self) -> (IpAddr, u16) {
        (self.dynamodb_host, self.dynamodb_port)
    }

    /// Where the Lambda API writes its log: beside the ledger.
    fn log_file(&self) -> PathBuf {
        self.folder().join("lambda-api.log")
    }

    /// Where the stack says which process it is, for `make outage`.
    fn pid_file(&self) -> PathBuf {
        PathBuf::from(format!("{}.pid", self.ledger_file))
    }

    fn folder(&self) -> PathBuf {
        let folder = Path::new(&self.ledger_file).parent().filter(|folder| !folder.as_os_str().is_empty());
        folder.map_or_else(env::temp_dir, Path::to_owned)
    }
}

fn setting(name: &str, default: &str) -> String {
    env::var(name).ok().filter(|value| !value.is_empty()).unwrap_or_else(|| default.to_owned())
}

fn port(name: &str, default: u16) -> Result<u16> {
    let text = setting(name, &default.to_string());
    text.parse().ok().filter(|port| *port > 0).with_context(|| format!("{name} must be a port from 1 to 65535"))
}

/// Starts everything, says when it is ready, and stops everything on Ctrl-C or when a part of it ends.
pub(crate) async fn run(options: Options) -> Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let mut outages = signal(SignalKind::user_defined1())?;

    // All ports first, so that nothing is started that would have to be stopped again. The Lambda API binds its own.
    let dynamodb = listen("DYNAMODB_PORT", options.dynamodb(), "DynamoDB").await?;
    let sqs = listen("SQS_PORT", (options.dynamodb_host, options.sqs_port), "SQS").await?;
    let events = listen("EVENTBRIDGE_PORT", (options.dynamodb_host, options.eventbridge_port), "EventBridge").await?;
    drop(listen("PORT", (Ipv4Addr::LOCALHOST.into(), options.port), "callbacks").await?);

    let template = Template::read()?;
    let database = database::open(&options.ledger_file, &template, &options.table)?;
    for index in database::add_indexes(&database, &template, &options.table)? {
        println!("{} is of an older version: its table has the index {index} now.", options.ledger_file);
    }
    let queues =
        queue::serve(sqs, Definitions { visibility_seconds: VISIBILITY_SECONDS, ..template.queues()? }).await?;
    let events_queue = queues.add("events").await?;
    let publishing = Publishing {
        bus: bus::serve(events, queues.client.clone(), &events_queue)?,
        dead_letters: queues.add("publisher-dead-letters").await?,
        events_queue,
    };
    let start = stream_source::enable(&database, &template, &options.table)?;
    let stream = StreamSource::open(database.clone(), &template, &options.table, start)?;
    let mut dynamodb = Dynamodb::serve(dynamodb, database);
    fs::write(options.pid_file(), std::process::id().to_string())
        .with_context(|| format!("cannot write {}", options.pid_file().display()))?;

    let mut processes = Processes::default();
    let outages = async {
        while outages.recv().await.is_some() {
            toggle(&mut dynamodb, &options).await?;
        }
        Ok(())
    };
    let ended = tokio::select! {
        ended = serve(&options, &template, &queues, &publishing, stream, &mut processes) => ended,
        failed = outages => failed,
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    };

    let _ = fs::remove_file(options.pid_file());
    processes.stop().await;
    dynamodb.cut_off().await?;
    if ended.is_ok() {
        match options.ledger_file.as_str() {
            ":memory:" => println!("\nStopped."),
            file => println!("\nStopped. The records are kept in {file}."),
        }
        let left = queues.depth(&queues.fallback_queue).await? + queues.depth(&queues.dead_letters).await?;
        if left > 0 {
            println!("{left} callbacks were still in the fallback queue, and are gone: the local SQS keeps nothing.");
        }
    }
    ended
}

/// Cuts DynamoDB off, or brings it back.
async fn toggle(dynamodb: &mut Dynamodb, options: &Options) -> Result<()> {
    if dynamodb.is_cut_off() {
        dynamodb.bring_back(listen("DYNAMODB_PORT", options.dynamodb(), "DynamoDB").await?);
        println!("DynamoDB is back: the replay takes what was queued to the ledger.");
    } else {
        dynamodb.cut_off().await?;
        println!("DynamoDB is cut off: callbacks go to the fallback queue. `make outage` again brings it back.");
    }
    Ok(())
}

/// Where events go.
struct Publishing {
    bus: LocalBus,
    dead_letters: String,
    events_queue: String,
}

/// Starts the Lambda API and the functions, says when all of them answer, and watches them until one ends.
async fn serve(
    options: &Options,
    template: &Template,
    queues: &Queues,
    publishing: &Publishing,
    stream: StreamSource,
    processes: &mut Processes,
) -> Result<()> {
    let log = options.log_file();
    let see_log = format!("see {}", log.display());
    let log = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
    processes.start("the local Lambda API", &see_log, &lambda_api(options), Some(log))?;
    // A function gives up where nothing listens.
    processes
        .watch_until(format!("the local Lambda API does not listen; {see_log}"), async {
            while TcpStream::connect((Ipv4Addr::LOCALHOST, options.port)).await.is_err() {
                sleep(Duration::from_millis(10)).await;
            }
        })
        .await?;
    let (receivers, others) = (template.callback_functions(), template.other_functions());
    let (replay, publisher) = (template.replay_function()?, template.publisher_function()?);
    let readers = template.reader_functions();
    for name in receivers.iter().chain(&readers).chain(&others) {
        let mut function = function(name, options, queues)?;
        function
            .env("EVENT_BUS_ARN", &publishing.bus.arn)
            .env("AWS_ENDPOINT_URL_EVENTBRIDGE", &publishing.bus.endpoint)
            .env("PUBLISHER_DEAD_LETTER_QUEUE_URL", &publishing.dead_letters);
        if readers.contains(name) {
            function.env("READER_TOKENS", options.reader_tokens.setting());
        }
        processes.start(name, "its last line says why", &function, None)?;
    }
    // The empty POST of a console that checks its URL, and a reader who does not say who it is: neither reads nor writes.
    let callbacks = receivers.iter().map(|name| (format!("POST /{name}"), 200));
    let reading = readers.iter().map(|_| ("GET /ledger/v1/feed".to_owned(), 401));
    processes
        .watch_until(format!("the functions do not answer; {see_log}"), async {
            for (request, status) in callbacks.chain(reading) {
                while answer(options.port, &request).await != Some(status) {
                    sleep(Duration::from_millis(50)).await;
                }
            }
        })
        .await?;
    println!("{}", greeting(options, &receivers, publishing));
    tokio::select! {
        error = processes.first_to_end() => Err(error),
        error = replays(options.port, queues, &replay) => Err(error),
        error = publishes(options.port, stream, &publisher) => Err(error),
    }
}

/// Hands the fallback queue's messages to the replay, as Lambda's event source does.
async fn replays(port: u16, queues: &Queues, name: &str) -> anyhow::Error {
    loop {
        if let Err(error) = event_source::poll(queues, |event| invoke(port, name, event)).await {
            eprintln!("the replay failed, and is tried again: {error:#}");
            sleep(Duration::from_secs(1)).await;
        }
    }
}

/// Hands the table's stream to the publisher, as Lambda's event source does, which asks for more four times a second.
async fn publishes(port: u16, mut stream: StreamSource, name: &str) -> anyhow::Error {
    loop {
        let polled = match stream.is_done() {
            Ok(true) => {
                sleep(Duration::from_millis(250)).await;
                Ok(())
            }
            Ok(false) => match stream.poll(|event| invoke(port, name, event)).await {
                // Nothing of the batch is done.
                Ok(0) => {
                    sleep(Duration::from_secs(1)).await;
                    Ok(())
                }
                polled => polled.map(drop),
            },
            Err(error) => Err(error),
        };
        for record in stream.given_up.drain(..) {
            let number = &record["dynamodb"]["SequenceNumber"];
            eprintln!("the publisher failed too often: the stream's record {number} is not published");
        }
        if let Err(error) = polled {
            return error.context("the table's stream cannot be read");
        }
    }
}

/// Invokes a function as Lambda's own API does.
async fn invoke(port: u16, name: &str, event: String) -> Result<String> {
    let url = format!("http://127.0.0.1:{port}/2015-03-31/functions/{name}/invocations");
    let call = move || ureq::post(url).send(event)?.body_mut().read_to_string();
    Ok(tokio::task::spawn_blocking(call).await??)
}

/// The stack's processes.
#[derive(Default)]
struct Processes(Vec<Process>);

struct Process {
    name: String,
    /// Where to look when it ends.
    hint: String,
    child: Child,
}

impl Processes {
    fn start(&mut self, name: &str, hint: &str, command: &Command, log: Option<File>) -> Result<()> {
        let mut command = bound(command);
        if let Some(log) = log {
            command.stdout(log.try_clone()?).stderr(log);
        }
        let child = command.stdin(Stdio::piped()).process_group(0).spawn();
        let child = child.with_context(|| format!("cannot start {name}"))?;
        self.0.push(Process { name: name.to_owned(), hint: hint.to_owned(), child });
        Ok(())
    }

    /// Waits for `ready`, for as long as every process runs.
    async fn watch_until(&mut self, late: String, ready: impl Future<Output = ()>) -> Result<()> {
        tokio::select! {
            ready = timeout(START_TIMEOUT, ready) => ready.context(late),
            error = self.first_to_end() => Err(error),
        }
    }

    /// Waits for the first process to end, which none should.
    async fn first_to_end(&mut self) -> anyhow::Error {
        loop {
            for Process { name, hint, child } in &mut self.0 {
                match child.try_wait() {
                    Ok(None) => {}
                    Ok(Some(status)) => return anyhow!("{name} ended ({status}); {hint}"),
                    Err(error) => return anyhow!("{name} was lost: {error}"),
                }
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Ends every process, the functions before what they talk to, so that none has an error to report.
    async fn stop(self) {
        for mut process in self.0.into_iter().rev() {
            drop(process.child.stdin.take());
            let _ = process.child.wait().await;
        }
    }
}

/// `command` under a shell that ends it when its own standard input ends: however the stack itself ends, killed
/// outright even, nothing of it stays behind to hold a port.
fn bound(command: &Command) -> Command {
    const SHELL: &str = r#"
        exec 3<&0
        "$@" 3<&- </dev/null & child=$!
        (read -r _ <&3; kill -KILL "$child") 2>/dev/null >/dev/null &
        exec 3<&-
        # Its end is meant, and needs no message.
        exec 2>/dev/null
        wait "$child"
    "#;
    let command = command.as_std();
    let mut shell = Command::new("sh");
    shell.args(["-c", SHELL, "sh"]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell
}

async fn listen(name: &str, (host, port): (IpAddr, u16), what: &str) -> Result<TcpListener> {
    TcpListener::bind((host, port)).await.map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => {
            anyhow!("port {port} for {what} is taken: stop what uses it, or choose another one with {name}=…")
        }
        _ => anyhow!("cannot listen on port {port} for {what}: {error}"),
    })
}

/// The local Lambda API: HTTP requests in, API Gateway events out; the routes stand in `Cargo.toml`.
fn lambda_api(options: &Options) -> Command {
    let mut command = Command::new("cargo-lambda");
    command
        // The timeout is also that of a function waiting for its next callback, which ends where it runs out.
        .args(["lambda", "watch", "--only-lambda-apis", "--timeout", "31536000", "-A", "127.0.0.1", "-P"])
        .arg(options.port.to_string());
    command
}

/// A function, with Lambda's environment and local defaults for its settings.
fn function(name: &str, options: &Options, queues: &Queues) -> Result<Command> {
    let binary = options.functions_dir.join(name);
    ensure!(binary.is_file(), "there is no function {}: `make build-functions` builds it", binary.display());
    let mut command = Command::new(binary);
    command
        .env("AWS_LAMBDA_RUNTIME_API", format!("http://127.0.0.1:{}/.rt/{name}", options.port))
        .env("AWS_LAMBDA_FUNCTION_NAME", name)
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
        .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
        // Never the user's own account, whatever the environment says.
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", "local")
        .env("AWS_SECRET_ACCESS_KEY", "local")
        .env_remove("AWS_SESSION_TOKEN")
        .env("AWS_ENDPOINT_URL_DYNAMODB", format!("http://127.0.0.1:{}", options.dynamodb_port))
        .env("TABLE_NAME", &options.table)
        .env("AWS_ENDPOINT_URL_SQS", &queues.endpoint)
        .env("FALLBACK_QUEUE_URL", &queues.fallback_queue);
    for platform in PLATFORMS {
        for (name, default) in platform.sample_app.iter().chain(&[(platform.allow_anybody, "true")]) {
            command.env(name, setting(name, default));
        }
    }
    Ok(command)
}

/// The status of the answer to a request without a body, as `GET /path`, where there is one in time.
async fn answer(port: u16, request: &str) -> Option<u16> {
    let request = format!("{request} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    let answer = async {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.map(|_| answer)
    };
    let answer = timeout(Duration::from_secs(5), answer).await.ok()?.ok()?;
    str::from_utf8(answer.strip_prefix(b"HTTP/1.1 ")?.get(..3)?).ok()?.parse().ok()
}

fn greeting(options: &Options, functions: &[String], publishing: &Publishing) -> String {
    let Options { port, dynamodb_port, sqs_port, eventbridge_port, table, .. } = options;
    let url = |name: &String| format!("  {name:13}http://127.0.0.1:{port}/{name}\n");
    let urls = functions.iter().map(url).collect::<Vec<_>>().concat();
    let (token, reading) = match &options.reader_tokens {
        ReaderTokens::Made(token) => (token.as_str(), format!("-H 'Authorization: Bearer {token}'")),
        ReaderTokens::Given(_) => ("a token of READER_TOKENS", "-H \"Authorization: Bearer $TOKEN\"".to_owned()),
    };
    let reading = format!("curl {reading} 'http://127.0.0.1:{port}/ledger/v1/feed'");
    let own_url = if *port == 3000 { String::new() } else { format!(" URL=http://127.0.0.1:{port}") };
    let demo = format!(
        "make demo{own_url}    # group-ledger send --demo: a week in the life of three groups, one of which lost callbacks"
    );
    let own_table = if table == "group-changes" { String::new() } else { format!(" --table {table}") };
    let following = format!(
        ".tools/bin/group-ledger follow --endpoint-url http://127.0.0.1:{dynamodb_port}{own_table}    # `make cli` installs it"
    );
    let events = format!(
        ".tools/bin/group-ledger events --queue-url {}    # as the bus's rule sends them on",
        publishing.events_queue
    );
    let app_id = setting("TENCENT_SDK_APP_ID", "1400000000");
    let command = "Group.CallbackAfterCreateGroup";
    let attempt = if setting("TENCENT_CALLBACK_TOKENS", "").is_empty() {
        format!(
            "curl -w '\\n' -d '{{\"CallbackCommand\":\"{command}\",\"GroupId\":\"try-it\",\"Name\":\"Trail runners\"}}' \
             'http://127.0.0.1:{port}/tencent-chat?SdkAppid={app_id}&CallbackCommand={command}'"
        )
    } else {
        format!("make send EVENT=events/tencent-chat-create-group.json URL=http://127.0.0.1:{port}    # signs it")
    };
    format!(
        "\nGroup Ledger is ready. Ctrl-C stops it.\n\n{urls}  {:13}http://127.0.0.1:{port}/ledger\n  \
         {:13}http://127.0.0.1:{dynamodb_port} (table {table})\n  \
         {:13}http://127.0.0.1:{sqs_port} (the fallback queue; the queue of events)\n  \
         {:13}http://127.0.0.1:{eventbridge_port} (the bus of events)\n\nTry it:\n\n{attempt}\n{demo}\n\nRead it:\n\n\
         http://127.0.0.1:{port}/ledger    # the page, in a browser; sign in with {token}\n{reading}\n{following}\n{events}\n\n\
         Break it: `make outage` in another terminal cuts DynamoDB off, and again brings it back.\n",
        "reader", "DynamoDB", "SQS", "EventBridge",
    )
}
