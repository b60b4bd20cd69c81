//! Lambda around one built function: its Runtime API, from which the function takes events and to which it answers.
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use http_body_util::{BodyExt, Collected, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::listener;
use crate::support::{EXAMPLE_CHAT, TEST_TIMEOUT};

/// The folder of the built functions: this test's own build, unless the environment says another.
pub(crate) fn functions_dir() -> PathBuf {
    std::env::var_os("FUNCTIONS_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_openim")).parent().unwrap().to_owned(), PathBuf::from)
}

/// A built function in a process of its own.
pub(crate) struct Function {
    process: Child,
    runtime_api: Arc<RuntimeApi>,
    log: JoinHandle<String>,
    /// Ends the Runtime API with the function.
    server: JoinHandle<()>,
}

/// What a function answered, and how long that took; `None` where it failed or ended.
pub(crate) struct Answer {
    pub(crate) body: Option<String>,
    pub(crate) took: Duration,
}

struct Invocation {
    event: String,
    deadline_ms: u128,
    answer: oneshot::Sender<String>,
}

struct RuntimeApi {
    invoke: mpsc::UnboundedSender<Invocation>,
    next: AsyncMutex<mpsc::UnboundedReceiver<Invocation>>,
    under_way: Mutex<HashMap<String, oneshot::Sender<String>>>,
}

impl Function {
    /// Starts a function with these settings and no others.
    pub(crate) async fn start(name: &str, settings: &BTreeMap<String, String>) -> Self {
        // The third platform's is an example.
        let file = if name == EXAMPLE_CHAT.name { "examples/third_platform" } else { name };
        Self::start_under(&[], functions_dir().join(file).to_str().unwrap(), settings).await
    }

    /// Starts a binary under another program.
    pub(crate) async fn start_under(program: &[&str], binary: &str, settings: &BTreeMap<String, String>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (invoke, next) = mpsc::unbounded_channel();
        let runtime_api = RuntimeApi { invoke, next: AsyncMutex::new(next), under_way: Mutex::default() };
        let runtime_api = Arc::new(runtime_api);
        let answers = Arc::clone(&runtime_api);
        let service = service_fn(move |request| answer(Arc::clone(&answers), request));
        let server = tokio::spawn(listener::serve(listener, service));
        let words: Vec<&str> = program.iter().copied().chain([binary]).collect();
        let mut process = Command::new(words[0])
            .args(&words[1..])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .envs(settings)
            .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
            .env("AWS_LAMBDA_FUNCTION_NAME", "here")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let log = tokio::spawn(async move {
            let mut log = String::new();
            while let Ok(Some(line)) = lines.next_line().await {
                log.push_str(&line);
                log.push('\n');
            }
            log
        });
        Self { process, runtime_api, log, server }
    }

    /// Invokes it, with `time_left` until Lambda would end it.
    pub(crate) async fn invoke(&self, event: String, time_left: Duration) -> Answer {
        let (answer, answered) = oneshot::channel();
        let deadline = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + time_left;
        let start = Instant::now();
        self.runtime_api.invoke.send(Invocation { event, deadline_ms: deadline.as_millis(), answer }).unwrap();
        let body = timeout(TEST_TIMEOUT, answered).await.unwrap().ok();
        Answer { body, took: start.elapsed() }
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.process.id().unwrap()
    }

    /// Freezes it, as Lambda does between invocations, or thaws it.
    pub(crate) async fn freeze(&self, frozen: bool) {
        let signal = if frozen { "-STOP" } else { "-CONT" };
        let id = self.process.id().unwrap().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().await.unwrap().success());
    }

    /// Asks it to end, as a program under which it runs needs in order to say what it saw.
    pub(crate) async fn terminate(mut self) {
        let id = self.process.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().await.unwrap().success());
        timeout(TEST_TIMEOUT, self.process.wait()).await.unwrap().unwrap();
    }

    /// Kills it, with what is under way: who waits for an answer waits in vain. The log it has written.
    pub(crate) async fn kill(mut self) -> String {
        self.process.kill().await.unwrap();
        self.server.abort();
        self.runtime_api.under_way.lock().unwrap().clear();
        timeout(TEST_TIMEOUT, self.log).await.unwrap().unwrap()
    }
}

async fn answer(runtime_api: Arc<RuntimeApi>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    let body = request.into_body().collect().await.map(Collected::to_bytes).unwrap_or_default();
    let segments: Vec<&str> = path.trim_start_matches("/2018-06-01/runtime/").split('/').collect();
    let response = match segments.as_slice() {
        ["invocation", "next"] => {
            let invocation = runtime_api.next.lock().await.recv().await.unwrap();
            let id = format!("{:032x}", invocation.deadline_ms ^ (u128::from(rand()) << 64));
            runtime_api.under_way.lock().unwrap().insert(id.clone(), invocation.answer);
            Response::builder()
                .header("Lambda-Runtime-Aws-Request-Id", id)
                .header("Lambda-Runtime-Deadline-Ms", invocation.deadline_ms.to_string())
                .header("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:000000000000:function:here")
                .body(Full::from(invocation.event))
        }
        ["invocation", id, "response"] => {
            if let Some(answer) = runtime_api.under_way.lock().unwrap().remove(*id) {
                let _ = answer.send(String::from_utf8(body.to_vec()).unwrap());
            }
            Response::builder().status(202).body(Full::default())
        }
        ["invocation", id, "error"] => {
            runtime_api.under_way.lock().unwrap().remove(*id);
            Response::builder().status(202).body(Full::default())
        }
        _ => Response::builder().status(404).body(Full::default()),
    };
    Ok(response.unwrap())
}

/// A number that no other invocation has.
fn rand() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0)
}
