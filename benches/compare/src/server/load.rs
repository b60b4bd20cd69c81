//! Sends callbacks as the platforms do: over connections that stay open, each of which waits for its answer.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;

use crate::event;

/// How many connections are opened at a time.
const OPENED_AT_A_TIME: usize = 32;

/// A request, and the answer that is its success.
#[derive(Clone)]
pub(super) struct Callback {
    request: Request<Full<Bytes>>,
    success: Value,
}

/// Callbacks of both platforms, in turn, signed now.
pub(super) fn callbacks() -> Result<Arc<[Callback]>> {
    let tencent_chat = Callback::new(
        event::sent_create_group(3),
        &[],
        json!({ "ActionStatus": "OK", "ErrorInfo": "", "ErrorCode": 0 }),
    )?;
    let openim = Callback::new(
        event::sent_set_group_info(),
        &[("authorization", event::AUTHORIZATION), ("operationid", "op-1")],
        json!({ "actionCode": 0, "errCode": 0, "errMsg": "Success", "errDlt": "", "nextCode": 0 }),
    )?;
    Ok(Arc::new([tencent_chat, openim]))
}

impl Callback {
    pub(super) fn new(
        (target, body): (String, impl Into<Bytes>),
        headers: &[(&str, &str)],
        success: Value,
    ) -> Result<Self> {
        let request = Request::post(target).header("host", "localhost").header("content-type", "application/json");
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        Ok(Self { request: request.body(Full::from(body.into()))?, success })
    }

    /// The same from somebody who knows neither token nor password.
    pub(super) fn forged(&self) -> Result<Self> {
        let mut forged = self.clone();
        forged.request.headers_mut().remove("authorization");
        *forged.request.uri_mut() = self.request.uri().to_string().replace("Sign=", "Sign=0").parse()?;
        Ok(forged)
    }
}

/// A connection that stays open.
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
}

impl Connection {
    pub(super) async fn open(port: u16) -> Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self { sender })
    }

    pub(super) fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }

    /// Sends a request; the status and the body of its answer.
    async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Result<(u16, Bytes)> {
        self.sender.ready().await?;
        let answer = self.sender.send_request(request).await?;
        Ok((answer.status().as_u16(), answer.into_body().collect().await?.to_bytes()))
    }

    /// The status of a path.
    pub(super) async fn get(&mut self, path: &str) -> Result<u16> {
        let request = Request::get(path).header("host", "localhost").body(Full::default())?;
        Ok(self.exchange(request).await?.0)
    }

    /// The status that a callback is answered with, however that is.
    pub(super) async fn status(&mut self, callback: &Callback) -> Result<u16> {
        Ok(self.exchange(callback.request.clone()).await?.0)
    }

    /// Sends a callback, which must be answered with the platform's success.
    async fn call(&mut self, callback: &Callback) -> Result<()> {
        let (status, body) = self.exchange(callback.request.clone()).await?;
        let is_success = status == 200 && serde_json::from_slice::<Value>(&body)? == callback.success;
        ensure!(is_success, "it answered {status} and {}", String::from_utf8_lossy(&body));
        Ok(())
    }
}

/// Callbacks that were all answered with success.
pub(super) struct Load {
    /// How long each took.
    pub(super) latencies: Vec<Duration>,
    /// How long all of them took.
    pub(super) lasted: Duration,
}

impl Load {
    pub(super) fn rate(&self) -> f64 {
        self.latencies.len() as f64 / self.lasted.as_secs_f64()
    }
}

/// Opens connections, each of which sends one callback.
pub(super) async fn connect(port: u16, connections: usize, callbacks: &Arc<[Callback]>) -> Result<Vec<Connection>> {
    let mut tasks = JoinSet::new();
    for first in 0..OPENED_AT_A_TIME {
        let callbacks = Arc::clone(callbacks);
        tasks.spawn(async move {
            let mut opened = Vec::new();
            for number in (first..connections).step_by(OPENED_AT_A_TIME) {
                let mut connection = Connection::open(port).await?;
                connection.call(&callbacks[number % callbacks.len()]).await?;
                opened.push(connection);
            }
            anyhow::Ok(opened)
        });
    }
    let mut connections = Vec::with_capacity(connections);
    while let Some(opened) = tasks.join_next().await {
        connections.append(&mut opened??);
    }
    Ok(connections)
}

/// Each connection sends a callback as soon as the one before is answered.
pub(super) async fn closed(
    connections: Vec<Connection>,
    callbacks: &Arc<[Callback]>,
    lasts: Duration,
) -> Result<(Vec<Connection>, Load)> {
    let start = Instant::now();
    let tasks = connections.into_iter().enumerate().map(|(number, mut connection)| {
        let callbacks = Arc::clone(callbacks);
        async move {
            let mut latencies = Vec::new();
            for callback in callbacks.iter().cycle().skip(number % callbacks.len()) {
                let sent = Instant::now();
                if sent - start >= lasts {
                    break;
                }
                connection.call(callback).await?;
                latencies.push(sent.elapsed());
            }
            Ok((connection, latencies))
        }
    });
    gather(start, tasks.collect()).await
}

/// So many callbacks a second are sent, whether or not the ones before are answered. Each is timed from when it was to be sent:
/// the wait for a connection, where all are taken, is part of what a slow answer costs.
pub(super) async fn open(
    connections: Vec<Connection>,
    callbacks: &Arc<[Callback]>,
    rate: u32,
    lasts: Duration,
) -> Result<(Vec<Connection>, Load)> {
    let (send, due) = mpsc::unbounded_channel();
    let due = Arc::new(Mutex::new(due));
    let start = Instant::now();
    // The runtime's own clock has whole milliseconds.
    thread::spawn(move || {
        let interval = Duration::from_secs(1) / rate;
        for number in 0.. {
            let at = interval * number;
            thread::sleep((start + at).saturating_duration_since(Instant::now()));
            if at >= lasts || send.send((number as usize, start + at)).is_err() {
                break;
            }
        }
    });
    let tasks = connections.into_iter().map(|mut connection| {
        let (callbacks, due) = (Arc::clone(callbacks), Arc::clone(&due));
        async move {
            let mut latencies = Vec::new();
            loop {
                let next = due.lock().await.recv().await;
                let Some((number, at)) = next else { break };
                connection.call(&callbacks[number % callbacks.len()]).await?;
                latencies.push(at.elapsed());
            }
            Ok((connection, latencies))
        }
    });
    gather(start, tasks.collect()).await
}

/// Runs what each connection does to its end, all at a time.
async fn gather(
    start: Instant,
    mut tasks: JoinSet<Result<(Connection, Vec<Duration>)>>,
) -> Result<(Vec<Connection>, Load)> {
    let (mut connections, mut latencies) = (Vec::new(), Vec::new());
    while let Some(done) = tasks.join_next().await {
        let (connection, mut own) = done??;
        connections.push(connection);
        latencies.append(&mut own);
    }
    Ok((connections, Load { latencies, lasted: start.elapsed() }))
}
