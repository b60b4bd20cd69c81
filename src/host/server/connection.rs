//! Connections: accepts them, ends those of slow senders, and ends all in order.
//!
//! A connection that awaits a request stays open as long as there is room: OpenIM never closes one, and a callback that it
//! sends while we close the connection is lost. A request that has begun must come at once.

use std::collections::BTreeMap;
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Sleep, sleep, timeout};
use tower::ServiceExt;
use tracing::error;

use crate::host::server::metrics::Metrics;

/// How many connections there are at most.
pub(super) const MAX_CONNECTIONS: usize = 8_192;
/// How long the head of a request may take, from its first byte on.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the rest of an answer may take, from the first write that has to wait.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// The largest head of a request. API Gateway takes 10,240 bytes.
const MAX_HEAD_BYTES: usize = 32 * 1024;
/// How many headers a request may have.
const MAX_HEADERS: usize = 128;
/// How long requests are still taken that were on their way when the shutdown began.
const GRACE_PERIOD: Duration = Duration::from_millis(50);
/// The pause after an accept that failed, as where too many files are open, and between two looks for a connection to close.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves at most `max_connections` at a time until `stopped`. Then answers every request whose head has arrived, and returns.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    max_connections: usize,
    stopped: impl Future<Output = ()>,
    metrics: Option<Arc<Metrics>>,
) {
    let (room, idle) = (Arc::new(Semaphore::new(max_connections)), Arc::new(Idle::default()));
    let (end, ending) = watch::channel(false);
    let begin = |stream: TcpStream, permit| {
        // Else the second part of an answer waits for the first one's acknowledgement.
        let _ = stream.set_nodelay(true);
        let counted = metrics.as_ref().map(Metrics::connection);
        let (router, progress, mut ending) = (router.clone(), Progress::of(&idle), ending.clone());
        tokio::spawn(async move {
            let _held = (permit, counted);
            let mut connection = pin!(connection(stream, router, Arc::clone(&progress)));
            tokio::select! {
                // A request that has arrived comes first.
                biased;
                // What the peer did wrong, or that it has disconnected.
                _ = connection.as_mut() => return,
                () = progress.close.notified() => {}
                _ = ending.wait_for(|ending| *ending) => {}
            }
            // Closes it, after the answer to a request whose head has arrived.
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        });
    };
    let accepted = Mutex::new(None);
    let accept_all = async {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    *lock(&accepted) = Some(stream);
                    let permit = make_room(&room, &idle).await;
                    if let Some(stream) = lock(&accepted).take() {
                        begin(stream, permit);
                    }
                }
                Err(error) if is_peer_error(&error) => {}
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
    // One that waits for room, and those that only the kernel has accepted: their peers are already connected.
    if let Some(stream) = lock(&accepted).take() {
        begin(stream, None);
    }
    for stream in backlog(listener) {
        begin(stream, None);
    }
    sleep(GRACE_PERIOD).await;
    let _ = end.send(true);
    drop(ending);
    end.closed().await;
}

/// A permit for one more connection. Where there is none, the longest idle connection is closed for it.
async fn make_room(room: &Arc<Semaphore>, idle: &Idle) -> Option<OwnedSemaphorePermit> {
    loop {
        if let Ok(permit) = Arc::clone(room).try_acquire_owned() {
            return Some(permit);
        }
        idle.close_longest();
        if let Ok(permit) = timeout(ACCEPT_PAUSE, Arc::clone(room).acquire_owned()).await {
            return permit.ok();
        }
    }
}

/// Closes a listener, and returns the connections of its backlog.
fn backlog(listener: TcpListener) -> Vec<TcpStream> {
    // tokio's `accept` relies on the last readiness event, and could miss a connection; the socket's own cannot.
    let Ok(listener) = listener.into_std() else { return Vec::new() };
    let accepted = std::iter::from_fn(|| {
        loop {
            match listener.accept() {
                Ok((stream, _)) => return Some(stream),
                Err(error) if is_peer_error(&error) => {}
                Err(_) => return None,
            }
        }
    });
    accepted.filter_map(|stream| stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream)).ok()).collect()
}

/// Whether an accept failed because the peer has disconnected already.
fn is_peer_error(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No code that holds one panics.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The connections that await a request, in the order in which they began to.
#[derive(Debug, Default)]
struct Idle(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    last: u64,
    /// In the order in which they became idle.
    close: BTreeMap<u64, Arc<Notify>>,
}

impl Idle {
    /// Closes the connection that has been idle for longest.
    fn close_longest(&self) {
        if let Some((_, close)) = lock(&self.0).close.pop_first() {
            close.notify_one();
        }
    }
}

/// Where a connection is between its requests.
#[derive(Debug)]
struct Progress {
    /// Even where it awaits the head of a request, odd where it answers one.
    step: AtomicU64,
    /// Its key in [`Waiting::close`], while it is idle.
    number: AtomicU64,
    idle: Arc<Idle>,
    /// Notified when it is to be closed.
    close: Arc<Notify>,
}

impl Progress {
    /// A connection that awaits its first request.
    fn of(idle: &Arc<Idle>) -> Arc<Self> {
        let (step, number, close) = (AtomicU64::default(), AtomicU64::default(), Arc::default());
        let progress = Self { step, number, idle: Arc::clone(idle), close };
        progress.mark_idle();
        Arc::new(progress)
    }

    fn step(&self) -> u64 {
        self.step.load(Ordering::Relaxed)
    }

    /// It awaits a request from now on.
    fn mark_idle(&self) {
        let mut idle = lock(&self.idle.0);
        idle.last += 1;
        let number = idle.last;
        idle.close.insert(number, Arc::clone(&self.close));
        self.number.store(number, Ordering::Relaxed);
    }

    /// A request has begun.
    fn mark_busy(&self) {
        lock(&self.idle.0).close.remove(&self.number.load(Ordering::Relaxed));
    }

    /// A request's head is complete.
    fn start_answer(&self) {
        self.mark_busy();
        self.step.fetch_add(1, Ordering::Relaxed);
    }

    /// The answer is ready.
    fn end_answer(&self) {
        self.step.fetch_add(1, Ordering::Relaxed);
        self.mark_idle();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.mark_busy();
    }
}

/// A connection of HTTP/1.1.
fn connection(
    stream: TcpStream,
    router: Router,
    progress: Arc<Progress>,
) -> http1::Connection<
    TokioIo<Paced<TcpStream>>,
    impl hyper::service::Service<
        Request<Incoming>,
        Response = axum::response::Response,
        Error = std::convert::Infallible,
        Future: Send,
    >,
> {
    let paced = Paced::new(stream, Arc::clone(&progress));
    let service = service_fn(move |request: Request<Incoming>| {
        progress.start_answer();
        let (answer, progress) = (router.clone().oneshot(request.map(Body::new)), Arc::clone(&progress));
        async move {
            let answer = answer.await;
            progress.end_answer();
            answer
        }
    });
    http1::Builder::new()
        // The time limits are our own: hyper's would end idle connections too.
        .header_read_timeout(None)
        // A sender may have closed its side by the time its request is read.
        .half_close(true)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(paced), service)
}

/// A stream that fails where the peer is slow.
struct Paced<S> {
    stream: S,
    progress: Arc<Progress>,
    /// When the head must be there, and the step that this is for.
    head: Option<(u64, Pin<Box<Sleep>>)>,
    /// When the peer must have taken the answer, which it does not take at once.
    write: Option<Pin<Box<Sleep>>>,
}

impl<S> Paced<S> {
    fn new(stream: S, progress: Arc<Progress>) -> Self {
        Self { stream, progress, head: None, write: None }
    }

    /// What a write comes to, in the time that the answer has: however little the peer takes at a time, it must come to the end.
    fn timed<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            return written;
        }
        let deadline = self.write.get_or_insert_with(|| Box::pin(sleep(WRITE_TIMEOUT)));
        ready!(deadline.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let step = self.progress.step();
        if self.head.as_ref().is_some_and(|(of, _)| *of != step) {
            self.head = None;
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if read.is_ready() {
            let awaits_head = step.is_multiple_of(2);
            if awaits_head && self.head.is_none() && buf.filled().len() > before {
                self.progress.mark_busy();
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

    /// Is asked for once all is written.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = ready!(Pin::new(&mut self.stream).poll_flush(cx));
        self.write = None;
        Poll::Ready(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::{Instant, sleep};

    use super::{Paced, Progress, WRITE_TIMEOUT};

    #[tokio::test(start_paused = true)]
    async fn an_answer_has_its_time_however_little_is_taken_at_once() {
        let (stream, mut peer) = duplex(1_000);
        let mut paced = Paced::new(stream, Progress::of(&Arc::default()));
        let (start, mut taken) = (Instant::now(), [0; 1_000]);
        let sending = tokio::spawn(async move {
            for size in [20_000, 100_000] {
                paced.write_all(&vec![0; size]).await?;
                paced.flush().await?;
                // The next answer has a time of its own.
                sleep(10 * WRITE_TIMEOUT).await;
            }
            Ok::<_, std::io::Error>(())
        });
        while !sending.is_finished() {
            let _bytes = peer.read(&mut taken).await.unwrap();
            sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(sending.await.unwrap().unwrap_err().kind(), ErrorKind::TimedOut);
        let took = start.elapsed().as_secs();
        assert!((345..360).contains(&took), "20, 300 and 30 s: {took} s");
    }
}
