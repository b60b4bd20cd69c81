//! A way to a service on which things go wrong.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Notify;
use tokio::time::sleep;

/// What goes wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing listens.
    Refused,
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
    /// The service does its work, and its answer is something else.
    Garbage,
    /// The service refuses, with a status and an error code.
    Answer(u16, &'static str),
}

/// A proxy in front of a service.
pub(crate) struct Proxy {
    pub(crate) endpoint: String,
    state: Arc<State>,
    /// Of a port on which nothing listens.
    _unused: Option<TcpSocket>,
}

struct State {
    upstream: String,
    fault: Fault,
    /// How many requests are still to go wrong.
    left: AtomicUsize,
    requests: AtomicUsize,
    /// Whether existing connections are to end.
    cut: Notify,
    closed: AtomicBool,
}

impl Proxy {
    /// A proxy on which the first `count` requests go wrong in the same way.
    pub(crate) fn start(upstream: &str, fault: Fault, count: usize) -> Self {
        // Bound either way, so that nobody else gets the port.
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let endpoint = format!("http://{}", socket.local_addr().unwrap());
        let state = Arc::new(State {
            upstream: upstream.trim_start_matches("http://").to_owned(),
            fault,
            left: AtomicUsize::new(count),
            requests: AtomicUsize::new(0),
            cut: Notify::new(),
            closed: AtomicBool::new(false),
        });
        let shared = Arc::clone(&state);
        let mut unused = Some(socket);
        if fault != Fault::Refused || count == 0 {
            let listener = unused.take().unwrap().listen(1024).unwrap();
            tokio::spawn(async move {
                while let Ok((client, _)) = listener.accept().await {
                    let state = Arc::clone(&shared);
                    tokio::spawn(async move {
                        tokio::select! {
                            _ = connection(client, &state) => {}
                            () = state.cut.notified() => {}
                        }
                    });
                }
            });
        }
        Self { endpoint, state, _unused: unused }
    }

    /// How many requests it has seen.
    pub(crate) fn requests(&self) -> usize {
        self.state.requests.load(Ordering::SeqCst)
    }

    /// Lets `count` requests go wrong from now on.
    pub(crate) fn arm(&self, count: usize) {
        self.state.left.store(count, Ordering::SeqCst);
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

/// Passes one connection's requests on, and their answers back.
async fn connection(mut client: TcpStream, state: &State) -> std::io::Result<()> {
    let is_old = !state.closed.load(Ordering::SeqCst);
    client.set_nodelay(true)?;
    let mut server: Option<TcpStream> = None;
    loop {
        let request = message(&mut client).await?;
        if is_old && state.closed.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        state.requests.fetch_add(1, Ordering::SeqCst);
        let goes_wrong =
            state.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        let fault = goes_wrong.then_some(state.fault);
        match fault {
            Some(Fault::Refused | Fault::Reset) => return client.set_zero_linger(),
            Some(Fault::Closed) => return Ok(()),
            Some(Fault::Hang) => std::future::pending::<()>().await,
            Some(Fault::Answer(status, code)) => {
                client.write_all(&refusal(status, code)).await?;
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
            None => client.write_all(&answer).await?,
            Some(Fault::HalfAnswer) => return client.write_all(&answer[..answer.len() / 2]).await,
            Some(Fault::LateAnswer) => std::future::pending::<()>().await,
            Some(Fault::SlowAnswer) => {
                for byte in answer {
                    client.write_all(&[byte]).await?;
                    sleep(Duration::from_millis(20)).await;
                }
            }
            Some(Fault::Garbage) => {
                client.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 15\r\n\r\n<html>no</html>").await?;
            }
            Some(_) => return Ok(()),
        }
    }
}

fn refusal(status: u16, code: &str) -> Vec<u8> {
    let body = format!(r#"{{"__type":"com.amazonaws#{code}","message":"no"}}"#);
    let head =
        format!("HTTP/1.1 {status} No\r\ncontent-type: application/x-amz-json-1.0\r\nx-amzn-errortype: {code}\r\n");
    format!("{head}content-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// Reads one request or answer, by its length.
async fn message(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
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
