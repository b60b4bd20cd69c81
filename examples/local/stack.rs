//! The processes of the local stack: the Lambda API (`cargo lambda watch`) and one process a function.

use std::env;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use crate::database;

/// The functions, by binary and route.
const FUNCTIONS: [&str; 2] = ["tencent-chat", "openim"];

const LAMBDA_API_HINT: &str = "see .local/lambda-api.log";

/// How long the stack may take to answer.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// What the stack is told.
pub(crate) struct Options {
    port: u16,
    dynamodb_port: u16,
    ledger_file: String,
    functions_dir: PathBuf,
    table: String,
}

impl Options {
    /// The options that the environment sets, else their defaults.
    pub(crate) fn from_env() -> Result<Self> {
        Ok(Self {
            port: port("PORT", 3000)?,
            dynamodb_port: port("DYNAMODB_PORT", 8000)?,
            ledger_file: setting("LEDGER_FILE", ".local/ledger.sqlite"),
            functions_dir: setting("FUNCTIONS_DIR", "target/release").into(),
            table: setting("TABLE_NAME", "group-changes"),
        })
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

    // Both ports first, so that nothing is started that would have to be stopped again. The Lambda API binds its own.
    let dynamodb = listen("DYNAMODB_PORT", options.dynamodb_port, "DynamoDB").await?;
    drop(listen("PORT", options.port, "callbacks").await?);

    let database = database::open(&options.ledger_file, Path::new("template.yaml"), &options.table)?;
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(dynoxide::server::serve_with_shutdown(dynamodb, database, async {
        let _ = stopped.await;
    }));

    let mut lambda_api = lambda_api(&options)?;
    // A function gives up where nothing listens.
    let listening = async {
        while TcpStream::connect((Ipv4Addr::LOCALHOST, options.port)).await.is_err() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        started = timeout(START_TIMEOUT, listening) => started.context("the local Lambda API does not listen")?,
        status = lambda_api.wait() => return Err(ended_early("the local Lambda API", status, LAMBDA_API_HINT)),
    }
    let [tencent_chat, openim] = FUNCTIONS.map(|name| function(name, &options));
    let (mut tencent_chat, mut openim) = (tencent_chat?, openim?);

    let ended = tokio::select! {
        ended = watch(&options) => ended,
        status = lambda_api.wait() => Err(ended_early("the local Lambda API", status, LAMBDA_API_HINT)),
        status = tencent_chat.wait() => Err(ended_early("the function tencent-chat", status, "its last line says why")),
        status = openim.wait() => Err(ended_early("the function openim", status, "its last line says why")),
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    };

    // The functions before what they talk to, so that none of them has an error to report.
    for child in [&mut tencent_chat, &mut openim, &mut lambda_api] {
        child
            .kill()
            .await
            .or_else(|error| if error.kind() == ErrorKind::InvalidInput { Ok(()) } else { Err(error) })?;
    }
    drop(stop);
    // A client that keeps its connection busy must not keep the stack from stopping.
    let _ = timeout(Duration::from_secs(2), server).await;
    if ended.is_ok() {
        println!("\nStopped. The records are kept in {}.", options.ledger_file);
    }
    ended
}

fn ended_early(what: &str, status: std::io::Result<ExitStatus>, hint: &str) -> anyhow::Error {
    match status {
        Ok(status) => anyhow::anyhow!("{what} ended ({status}); {hint}"),
        Err(error) => anyhow::anyhow!("{what} was lost: {error}"),
    }
}

async fn listen(name: &str, port: u16, what: &str) -> Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => {
            anyhow::anyhow!("port {port} for {what} is taken: stop what uses it, or choose another one with {name}=…")
        }
        _ => anyhow::anyhow!("cannot listen on port {port} for {what}: {error}"),
    })
}

/// The local Lambda API: HTTP requests in, API Gateway events out; the routes stand in `Cargo.toml`.
fn lambda_api(options: &Options) -> Result<Child> {
    fs::create_dir_all(".local")?;
    let log = File::create(".local/lambda-api.log").context("cannot write .local/lambda-api.log")?;
    Command::new("cargo-lambda")
        .args(["lambda", "watch", "--only-lambda-apis", "--timeout", "10", "-A", "127.0.0.1", "-P"])
        .arg(options.port.to_string())
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .context("cannot start cargo-lambda: `make tools` installs it, `make run` finds it")
}

/// A function, with Lambda's environment and local defaults for its settings.
fn function(name: &str, options: &Options) -> Result<Child> {
    let binary = options.functions_dir.join(name);
    let mut command = Command::new(&binary);
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
        .stdin(Stdio::null())
        .kill_on_drop(true);
    for (setting, default) in
        [("TENCENT_SDK_APP_ID", "1400000000"), ("TENCENT_ALLOW_UNSIGNED", "true"), ("OPENIM_ALLOW_ANONYMOUS", "true")]
    {
        if env::var(setting).map_or(true, |value| value.is_empty()) {
            command.env(setting, default);
        }
    }
    command.spawn().with_context(|| format!("cannot start {}: `make build-functions` builds it", binary.display()))
}

/// Says when every function answers, then waits for ever.
async fn watch(options: &Options) -> Result<()> {
    let ready = async {
        for name in FUNCTIONS {
            while !answers(options.port, name).await {
                sleep(Duration::from_millis(50)).await;
            }
        }
    };
    if timeout(START_TIMEOUT, ready).await.is_err() {
        bail!("the functions do not answer on port {}; see .local/lambda-api.log", options.port);
    }
    println!("{}", greeting(options));
    std::future::pending().await
}

/// Whether a function answers the empty POST that a console's check of its URL is.
async fn answers(port: u16, name: &str) -> bool {
    let request = format!("POST /{name} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    let answer = async {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.map(|_| answer)
    };
    matches!(timeout(Duration::from_secs(5), answer).await, Ok(Ok(answer)) if answer.starts_with(b"HTTP/1.1 200"))
}

fn greeting(options: &Options) -> String {
    let Options { port, dynamodb_port, table, .. } = options;
    format!(
        r#"
Group Ledger is ready. Ctrl-C stops it.

  Tencent Cloud Chat   http://127.0.0.1:{port}/tencent-chat
  OpenIM               http://127.0.0.1:{port}/openim
  DynamoDB             http://127.0.0.1:{dynamodb_port}   table {table}

Try it:

curl -d '{{"CallbackCommand":"Group.CallbackAfterCreateGroup","GroupId":"@TGS#2J4SZEAEL","Name":"Trail runners","EventTime":1670574414123}}' 'http://127.0.0.1:{port}/tencent-chat?SdkAppid={app}&CallbackCommand=Group.CallbackAfterCreateGroup'
"#,
        app = setting("TENCENT_SDK_APP_ID", "1400000000"),
    )
}
