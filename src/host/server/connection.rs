//! Connections: accepts them, ends those of slow senders, and ends all in order.
//!
//! A connection that is idle between two requests stays open: OpenIM never closes one, and a callback that it sends while we
//! close the connection is lost. A request that has begun must come at once.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use futures_util::FutureExt as _;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Sleep, sleep};
use tower::ServiceExt;
use tracing::error;

use crate::host::server::metrics::Metrics;

/// How many connections there are at most; more wait in the kernel.
pub(super) const MAX_CONNECTIONS: usize = 8_192;
/// How long the first byte of a connection, and then the head of a request from its first byte on, may take.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the other side may take none of an answer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// The largest head of a request. API Gateway takes 10,240 bytes.
const MAX_HEAD_BYTES: usize = 32 * 1024;
/// How many headers a request may have.
const MAX_HEADERS: usize = 128;
/// How long requests are still taken that were on their way when the end began.
const LINGER: Duration = Duration::from_millis(50);
/// The pause after an accept that failed, as where too many files are open.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves so many connections at a time until `stopped`; then until every request that has begun is answered.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    max_connections: usize,
    stopped: impl Future<Output = ()>,
    metrics: Arc<Metrics>,
) {
    let (graceful, connections) = (GracefulShutdown::new(), Arc::new(Semaphore::new(max_connections)));
    let begin = |stream: TcpStream, permit| {
        // Else the second part of an answer waits for the first one's acknowledgement.
        let _ = stream.set_nodelay(true);
        let counted = metrics.connection();
        let connection = graceful.watch(connection(stream, router.clone()));
        tokio::spawn(async move {
            // What the other side did wrong, or that it has gone.
            let _ = connection.await;
            drop((permit, counted));
        });
    };
    let accept_all = async {
        loop {
            let Ok(permit) = Arc::clone(&connections).acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, _)) => begin(stream, Some(permit)),
                Err(error) if is_of_the_other_side(&error) => {}
                Err(error) => {
                    error!(%error, "a connection cannot be accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    tokio::select! {
        () = stopped => {}
        () = accept_all => {}
    }
    // Senders that the kernel has told that they are connected.
    while let Some(Ok((stream, _))) = listener.accept().now_or_never() {
        begin(stream, None);
    }
    drop(listener);
    sleep(LINGER).await;
    graceful.shutdown().await;
}

/// Whether an accept failed because the other side has gone already.
fn is_of_the_other_side(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// A connection of HTTP/1.1.
fn connection(
    stream: TcpStream,
    router: Router,
) -> http1::Connection<
    TokioIo<Paced<TcpStream>>,
    impl hyper::service::Service<
        Request<Incoming>,
        Response = axum::response::Response,
        Error = std::convert::Infallible,
        Future: Send,
    >,
> {
    let steps = Arc::new(AtomicU64::new(AWAITS_FIRST));
    let paced = Paced::new(stream, Arc::clone(&steps));
    let service = service_fn(move |request: Request<Incoming>| {
        steps.fetch_add(1, Ordering::Relaxed);
        let (answer, steps) = (router.clone().oneshot(request.map(Body::new)), Arc::clone(&steps));
        async move {
            let answer = answer.await;
            steps.fetch_add(1, Ordering::Relaxed);
            answer
        }
    });
    http1::Builder::new()
        // The time limits are our own: hyper's would end idle connections too.
        .header_read_timeout(None)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(paced), service)
}

/// The first step of a connection: it awaits the head of a request. At the next one the request is answered, and so on.
const AWAITS_FIRST: u64 = 0;

/// A stream that fails where the other side is slow.
struct Paced<S> {
    stream: S,
    /// Which step the connection is at: even where it awaits the head of a request, odd where it answers one.
    steps: Arc<AtomicU64>,
    /// When the head must be there, and the step that this is for.
    head: Option<(u64, Pin<Box<Sleep>>)>,
    /// When the other side must have taken some of the answer.
    write: Option<Pin<Box<Sleep>>>,
}

impl<S> Paced<S> {
    fn new(stream: S, steps: Arc<AtomicU64>) -> Self {
        Self { stream, steps, head: Some((AWAITS_FIRST, Box::pin(sleep(HEAD_TIMEOUT)))), write: None }
    }

    /// What a write comes to, in the time that it has.
    fn timed<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.write = None;
            return written;
        }
        let deadline = self.write.get_or_insert_with(|| Box::pin(sleep(WRITE_TIMEOUT)));
        ready!(deadline.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let step = self.steps.load(Ordering::Relaxed);
        if self.head.as_ref().is_some_and(|(of, _)| *of != step) {
            self.head = None;
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if read.is_ready() {
            let awaits_head = step.is_multiple_of(2);
            if awaits_head && self.head.is_none() && buf.filled().len() > before {
                self.head = Some((step, Box::pin(sleep(HEAD_TIMEOUT))));
            }
            return read;
        }
        match &mut self.head {
            Some((_, deadline)) => {
                ready!(deadline.as_mut().poll(cx));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
            None => Poll::Pending,
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.timed(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.timed(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
