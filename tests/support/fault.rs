//! A way to a service on which things go wrong.

use std::any::Any;
use std::collections::HashMap;
use std::net::{Ipv4Addr, TcpStream as BlockingTcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Notify;
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::server::TlsStream;

/// What a connection to a proxy is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Transport {
    /// Plain HTTP.
    Plain,
    /// TLS, as on AWS, with a certificate of the [`authority`].
    Tls,
}

/// What goes wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Fault {
    /// Nothing listens.
    Refused,
    /// The TCP connect itself is not answered.
    Unanswered,
    /// The TLS handshake is not answered.
    NoHandshake,
    /// The certificate is of an authority that nobody trusts.
    Untrusted,
    /// The connection is reset before the service sees the request.
    Reset,
    /// The connection ends before the service sees the request.
    Closed,
    /// The service sees nothing and says nothing.
    Hang,
    /// The service does its work, and its answer is lost with the connection.
    LostAnswer,
    /// The service does its work, and its answer never comes.
    LateAnswer,
    /// The service does its work, and half of its answer comes before the connection ends.
    HalfAnswer,
    /// The service does its work, and its answer comes byte by byte.
    SlowAnswer,
    /// A request that was answered before is answered from memory, so many milliseconds later: the service's own time does not
    /// count.
    Remembered(u64),
    /// The service does its work, and its answer is something else.
    Garbage,
    /// The service rejects, with a status and an error code.
    Answer(u16, &'static str),
    /// The service throttles, and says why.
    /// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_ThrottlingReason.html>
    Throttled(&'static str, &'static str),
    /// The service throttles every key of a batch that it is asked for.
    Unprocessed,
}

impl Fault {
    /// Whether no connection comes about, so that no request can be counted.
    pub(crate) fn prevents_connections(self) -> bool {
        matches!(self, Self::Refused | Self::Unanswered | Self::NoHandshake | Self::Untrusted)
    }
}

/// A proxy in front of a service.
pub(crate) struct Proxy {
    pub(crate) endpoint: String,
    state: Arc<State>,
    /// Keeps a port that accepts nothing.
    _port: Box<dyn Any + Send + Sync>,
}

struct State {
    upstream: String,
    fault: Fault,
    /// How many requests are still to go wrong.
    left: AtomicUsize,
    /// A text that a request must have in it to go wrong.
    only: Mutex<&'static str>,
    requests: AtomicUsize,
    /// Answers by what was asked, and how many requests were not among them.
    memory: Mutex<HashMap<String, Vec<u8>>>,
    forgotten: AtomicUsize,
    /// Whether existing connections are to end.
    cut: Notify,
    closed: AtomicBool,
}

impl Proxy {
    /// A proxy on which the first `count` requests go wrong in the same way.
    pub(crate) fn start(transport: Transport, upstream: &str, fault: Fault, count: usize) -> Self {
        // Bound in every case, so that nobody else gets the port.
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let address = socket.local_addr().unwrap();
        let scheme = if transport == Transport::Tls { "https" } else { "http" };
        let endpoint = format!("{scheme}://{address}");
        let state = Arc::new(State {
            upstream: upstream.trim_start_matches("http://").to_owned(),
            fault,
            left: AtomicUsize::new(count),
            only: Mutex::default(),
            requests: AtomicUsize::new(0),
            memory: Mutex::default(),
            forgotten: AtomicUsize::new(0),
            cut: Notify::new(),
            closed: AtomicBool::new(false),
        });
        let port: Box<dyn Any + Send + Sync> = match fault {
            Fault::Refused if count > 0 => Box::new(socket),
            Fault::Unanswered if count > 0 => {
                // Linux drops every SYN while the queue of connections to accept is full, and this one has room for one.
                let queue = socket.listen(0).unwrap();
                Box::new((queue, BlockingTcpStream::connect(address).unwrap()))
            }
            _ => {
                let acceptor = (transport == Transport::Tls).then(|| match fault {
                    Fault::Untrusted if count > 0 => AUTHORITY.untrusted.clone(),
                    _ => AUTHORITY.trusted.clone(),
                });
                tokio::spawn(accept(socket.listen(1024).unwrap(), acceptor, Arc::clone(&state)));
                Box::new(())
            }
        };
        Self { endpoint, state, _port: port }
    }

    /// How many requests it has seen since it was last armed.
    pub(crate) fn requests(&self) -> usize {
        self.state.requests.load(Ordering::SeqCst)
    }

    /// Lets `count` requests go wrong from now on.
    pub(crate) fn arm(&self, count: usize) {
        self.state.left.store(count, Ordering::SeqCst);
        self.state.requests.store(0, Ordering::SeqCst);
        self.state.forgotten.store(0, Ordering::SeqCst);
    }

    /// How many requests it could not answer from memory since it was last armed.
    pub(crate) fn forgotten(&self) -> usize {
        self.state.forgotten.load(Ordering::SeqCst)
    }

    /// Lets requests go wrong only if they have `text` in them.
    pub(crate) fn only(&self, text: &'static str) {
        *self.state.only.lock().unwrap() = text;
    }

    /// Ends the connections there are, as what lies between does to those that are idle for long.
    pub(crate) fn cut(&self) {
        self.state.cut.notify_waiters();
    }

    /// Forgets the connections there are without a word to their other ends.
    pub(crate) fn forget(&self) {
        self.state.closed.store(true, Ordering::SeqCst);
    }
}

async fn accept(listener: TcpListener, acceptor: Option<TlsAcceptor>, state: Arc<State>) {
    while let Ok((client, _)) = listener.accept().await {
        let (acceptor, state) = (acceptor.clone(), Arc::clone(&state));
        tokio::spawn(async move {
            tokio::select! {
                _ = handshake(client, acceptor, &state) => {}
                () = state.cut.notified() => {}
            }
        });
    }
}

async fn handshake(client: TcpStream, acceptor: Option<TlsAcceptor>, state: &State) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    match acceptor {
        None => connection(client, state).await,
        Some(_) if state.fault == Fault::NoHandshake => std::future::pending().await,
        Some(acceptor) => connection(acceptor.accept(client).await?, state).await,
    }
}

/// A connection, in clear or over TLS.
trait Client: AsyncRead + AsyncWrite + Unpin {
    /// Lets the connection end with a reset.
    fn reset(&self) -> std::io::Result<()>;
}

impl Client for TcpStream {
    fn reset(&self) -> std::io::Result<()> {
        self.set_zero_linger()
    }
}

impl Client for TlsStream<TcpStream> {
    fn reset(&self) -> std::io::Result<()> {
        self.get_ref().0.set_zero_linger()
    }
}

/// Passes one connection's requests on, and their answers back.
async fn connection(mut client: impl Client, state: &State) -> std::io::Result<()> {
    let is_old = !state.closed.load(Ordering::SeqCst);
    let mut server: Option<TcpStream> = None;
    loop {
        let request = message(&mut client).await?;
        if is_old && state.closed.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        state.requests.fetch_add(1, Ordering::SeqCst);
        let only = *state.only.lock().unwrap();
        let goes_wrong = String::from_utf8_lossy(&request).contains(only)
            && state.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        let fault = goes_wrong.then_some(state.fault);
        match fault {
            Some(Fault::Reset) => return client.reset(),
            Some(Fault::Closed) => return Ok(()),
            Some(Fault::Hang) => std::future::pending::<()>().await,
            Some(Fault::Remembered(millis)) => {
                let known = state.memory.lock().unwrap().get(&asked(&request)).cloned();
                if let Some(answer) = known {
                    sleep(Duration::from_millis(millis)).await;
                    send(&mut client, &answer).await?;
                    continue;
                }
                state.forgotten.fetch_add(1, Ordering::SeqCst);
            }
            Some(Fault::Answer(status, code)) => {
                send(&mut client, &rejection(status, code, "")).await?;
                continue;
            }
            Some(Fault::Throttled(code, reason)) => {
                let reasons = format!(r#"[{{"reason":"{reason}","resource":"arn:aws:dynamodb"}}]"#);
                // As each of the exceptions spells it.
                let reasons = format!(r#","throttlingReasons":{reasons},"ThrottlingReasons":{reasons}"#);
                send(&mut client, &rejection(400, code, &reasons)).await?;
                continue;
            }
            Some(Fault::Unprocessed) => {
                let body = body(&request);
                let answer = json!({ "Responses": {}, "UnprocessedKeys": body["RequestItems"] }).to_string();
                let head = "HTTP/1.1 200 OK\r\ncontent-type: application/x-amz-json-1.0\r\n";
                let answer = format!("{head}content-length: {}\r\n\r\n{answer}", answer.len());
                send(&mut client, answer.as_bytes()).await?;
                continue;
            }
            _ => {}
        }
        let stream = match &mut server {
            Some(stream) => stream,
            None => server.insert(TcpStream::connect(&state.upstream).await?),
        };
        stream.write_all(&request).await?;
        let answer = message(stream).await?;
        match fault {
            None => send(&mut client, &answer).await?,
            Some(Fault::Remembered(_)) => {
                send(&mut client, &answer).await?;
                state.memory.lock().unwrap().insert(asked(&request), answer);
            }
            Some(Fault::HalfAnswer) => return send(&mut client, &answer[..answer.len() / 2]).await,
            Some(Fault::LateAnswer) => std::future::pending::<()>().await,
            Some(Fault::SlowAnswer) => {
                for byte in answer {
                    send(&mut client, &[byte]).await?;
                    sleep(Duration::from_millis(20)).await;
                }
            }
            Some(Fault::Garbage) => {
                send(&mut client, b"HTTP/1.1 200 OK\r\ncontent-length: 15\r\n\r\n<html>no</html>").await?;
            }
            Some(_) => return Ok(()),
        }
    }
}

/// What a request asks for: the order of a map's names is not the same twice.
fn asked(request: &[u8]) -> String {
    body(request).to_string()
}

fn body(request: &[u8]) -> Value {
    let body = request.windows(4).position(|window| window == b"\r\n\r\n").map_or(request, |end| &request[end + 4..]);
    serde_json::from_slice(body).unwrap()
}

/// Writes all of it, as far as the wire: TLS keeps what is not flushed.
async fn send(client: &mut impl Client, bytes: &[u8]) -> std::io::Result<()> {
    client.write_all(bytes).await?;
    client.flush().await
}

fn rejection(status: u16, code: &str, more: &str) -> Vec<u8> {
    let body = format!(r#"{{"__type":"com.amazonaws#{code}","message":"no"{more}}}"#);
    let head =
        format!("HTTP/1.1 {status} No\r\ncontent-type: application/x-amz-json-1.0\r\nx-amzn-errortype: {code}\r\n");
    format!("{head}content-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// Reads one request or answer, by its length.
async fn message(stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let head = loop {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
    };
    let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
    let length = text.split("content-length:").nth(1).and_then(|rest| rest.lines().next()?.trim().parse().ok());
    while bytes.len() < head + length.unwrap_or(0) {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(bytes)
}

/// A test authority for [`Transport::Tls`], and one that nobody trusts.
struct Authority {
    certificate: String,
    trusted: TlsAcceptor,
    untrusted: TlsAcceptor,
}

static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| {
    let (certificate, trusted) = issue("The tests' authority");
    let (_, untrusted) = issue("An authority that nobody trusts");
    Authority { certificate, trusted, untrusted }
});

/// The certificate of the authority that the proxies' own are of, in PEM.
pub(crate) fn authority() -> &'static str {
    &AUTHORITY.certificate
}

/// A new authority's certificate, and a server with a certificate of it.
fn issue(name: &str) -> (String, TlsAcceptor) {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    authority.distinguished_name.push(DnType::CommonName, name);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let names = CertificateParams::new([Ipv4Addr::LOCALHOST.to_string()]).unwrap();
    let certificate = names.signed_by(&key, &authority).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder().with_no_client_auth();
    let config = config.with_single_cert(vec![certificate.der().clone()], key).unwrap();
    (authority.pem(), TlsAcceptor::from(Arc::new(config)))
}
