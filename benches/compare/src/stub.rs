//! Stubs of what every function talks to: Lambda's Runtime API, a DynamoDB that takes every item at once unless it is told
//! otherwise, over plain HTTP and over TLS, and an SQS. They do as little as can be, so that what is measured is the function.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use anyhow::{Context, Result};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{Mutex as AsyncMutex, Notify, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// The Runtime API of one function.
pub(crate) struct RuntimeApi {
    pub(crate) address: String,
    events: mpsc::UnboundedSender<String>,
    state: Arc<State>,
}

struct State {
    events: AsyncMutex<mpsc::UnboundedReceiver<String>>,
    /// When the function last asked for an event.
    ready: Mutex<Option<Instant>>,
    is_ready: Notify,
    answered: Mutex<Option<(Instant, Bytes)>>,
    is_answered: Notify,
}

impl RuntimeApi {
    pub(crate) async fn start() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?.to_string();
        let (events, receiver) = mpsc::unbounded_channel();
        let state = Arc::new(State {
            events: AsyncMutex::new(receiver),
            ready: Mutex::new(None),
            is_ready: Notify::new(),
            answered: Mutex::new(None),
            is_answered: Notify::new(),
        });
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let _ = stream.set_nodelay(true);
                let state = Arc::clone(&shared);
                let service = service_fn(move |request| answer(Arc::clone(&state), request));
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Ok(Self { address, events, state })
    }

    /// Waits until the function asks for its first event; when that was.
    pub(crate) async fn ready(&self) -> Result<Instant> {
        self.state.is_ready.notified().await;
        self.state.ready.lock().unwrap().take().context("it did not ask")
    }

    /// Hands the function an event, and waits until it asks for the next one: when it answered, and what.
    pub(crate) async fn invoke(&self, event: &str) -> Result<(Instant, Bytes)> {
        self.events.send(event.to_owned())?;
        self.state.is_answered.notified().await;
        let answered = self.state.answered.lock().unwrap().take().context("no answer")?;
        self.state.is_ready.notified().await;
        Ok(answered)
    }
}

async fn answer(state: Arc<State>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let response = Response::builder();
    if request.uri().path().ends_with("/next") {
        *state.ready.lock().unwrap() = Some(Instant::now());
        state.is_ready.notify_one();
        let Some(event) = state.events.lock().await.recv().await else { std::future::pending().await };
        let deadline = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() + 3_000;
        let response = response
            .header("lambda-runtime-aws-request-id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd")
            .header("lambda-runtime-deadline-ms", deadline.to_string())
            .header("lambda-runtime-invoked-function-arn", "arn:aws:lambda:us-east-1:000000000000:function:here")
            .header("content-type", "application/json");
        return Ok(response.body(Full::from(event)).unwrap());
    }
    let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    *state.answered.lock().unwrap() = Some((Instant::now(), body));
    state.is_answered.notify_one();
    Ok(response.status(202).body(Full::default()).unwrap())
}

/// What the stub answers to a put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Mode {
    /// Takes the item.
    Takes,
    /// The condition fails: the key holds the item that was taken last.
    HasIt,
    /// Fails, with a 500.
    Fails,
}

/// A DynamoDB, and an SQS beside it.
pub(crate) struct Dynamodb {
    pub(crate) clear: String,
    pub(crate) tls: String,
    /// The certificate of the authority that vouches for it, in PEM.
    pub(crate) authority: String,
    /// Of the SQS, over plain HTTP.
    pub(crate) sqs: String,
    taken: Arc<Taken>,
}

/// How many requests the stubs have answered in which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Items taken.
    pub(crate) items: u64,
    /// Conditions that failed.
    pub(crate) duplicates: u64,
    /// Puts answered with a 500.
    pub(crate) failures: u64,
    /// Messages that SQS has taken.
    pub(crate) messages: u64,
}

impl Counts {
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            items: self.items - before.items,
            duplicates: self.duplicates - before.duplicates,
            failures: self.failures - before.failures,
            messages: self.messages - before.messages,
        }
    }
}

#[derive(Default)]
struct Taken {
    /// A [`Mode`].
    mode: AtomicU8,
    items: AtomicU64,
    duplicates: AtomicU64,
    failures: AtomicU64,
    messages: AtomicU64,
    /// The first requests since they were last asked for.
    requests: Mutex<Vec<Bytes>>,
}

impl Dynamodb {
    pub(crate) async fn start() -> Result<Self> {
        let taken = Arc::<Taken>::default();
        let mut authority = CertificateParams::new(Vec::new())?;
        authority.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        authority.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
        authority.distinguished_name.push(rcgen::DnType::CommonName, "The benchmarks' authority");
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new(vec!["localhost".to_owned()])?.signed_by(&key, &authority)?;
        let config = ServerConfig::builder().with_no_client_auth().with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).map_err(anyhow::Error::msg)?,
        )?;
        let clear = serve(None, Arc::clone(&taken), put).await?;
        let tls = serve(Some(TlsAcceptor::from(Arc::new(config))), Arc::clone(&taken), put).await?;
        let sqs = serve(None, Arc::clone(&taken), send_message).await?;
        Ok(Self {
            clear: format!("http://localhost:{clear}"),
            tls: format!("https://localhost:{tls}"),
            authority: authority.pem(),
            sqs: format!("http://localhost:{sqs}"),
            taken,
        })
    }

    /// Lets it answer every put in this way from now on.
    pub(crate) fn set(&self, mode: Mode) {
        self.taken.mode.store(mode as u8, Ordering::Relaxed);
    }

    /// What it has answered so far.
    pub(crate) fn counts(&self) -> Counts {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Counts {
            items: count(&self.taken.items),
            duplicates: count(&self.taken.duplicates),
            failures: count(&self.taken.failures),
            messages: count(&self.taken.messages),
        }
    }

    /// The requests since this was last asked.
    pub(crate) fn requests(&self) -> Vec<Bytes> {
        std::mem::take(&mut self.taken.requests.lock().unwrap())
    }
}

type Answer = fn(&Taken, Bytes) -> Response<Full<Bytes>>;

async fn serve(acceptor: Option<TlsAcceptor>, taken: Arc<Taken>, answer: Answer) -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            let (acceptor, taken) = (acceptor.clone(), Arc::clone(&taken));
            let service = service_fn(move |request: Request<Incoming>| {
                let taken = Arc::clone(&taken);
                async move {
                    let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
                    Ok::<_, Infallible>(answer(&taken, body))
                }
            });
            tokio::spawn(async move {
                let builder = http1::Builder::new();
                let _ = match acceptor {
                    Some(acceptor) => match acceptor.accept(stream).await {
                        Ok(stream) => builder.serve_connection(TokioIo::new(stream), service).await,
                        Err(_) => return,
                    },
                    None => builder.serve_connection(TokioIo::new(stream), service).await,
                };
            });
        }
    });
    Ok(port)
}

fn put(taken: &Taken, body: Bytes) -> Response<Full<Bytes>> {
    let mode = taken.mode.load(Ordering::Relaxed);
    if mode == Mode::Fails as u8 {
        taken.failures.fetch_add(1, Ordering::Relaxed);
        return json_answer(
            500,
            json!({ "__type": "com.amazonaws.dynamodb.v20120810#InternalServerError" }).to_string(),
        );
    }
    if mode == Mode::HasIt as u8 {
        taken.duplicates.fetch_add(1, Ordering::Relaxed);
        let last = taken.requests.lock().unwrap().last().cloned().unwrap_or_default();
        let last: Value = serde_json::from_slice(&last).unwrap_or_default();
        let code = "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException";
        return json_answer(400, json!({ "__type": code, "message": "no", "Item": last["Item"] }).to_string());
    }
    taken.items.fetch_add(1, Ordering::Relaxed);
    let mut requests = taken.requests.lock().unwrap();
    // Of a callback, or of one in parts; more are not asked for.
    if requests.len() < 16 {
        requests.push(body);
    }
    drop(requests);
    let response = Response::builder().header("content-type", "application/x-amz-json-1.0");
    // The checksum that DynamoDB sends and some clients ask for: of `{}`.
    response.header("x-amz-crc32", "2745614147").body(Full::from("{}")).unwrap()
}

fn send_message(taken: &Taken, _body: Bytes) -> Response<Full<Bytes>> {
    taken.messages.fetch_add(1, Ordering::Relaxed);
    json_answer(200, json!({ "MessageId": "1" }).to_string())
}

fn json_answer(status: u16, body: String) -> Response<Full<Bytes>> {
    let response = Response::builder().status(status).header("content-type", "application/x-amz-json-1.0");
    response.body(Full::from(body)).unwrap()
}
