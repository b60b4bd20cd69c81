//! Which handler a path has, and what a callback's request is bounded by before its handler sees it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, HttpBody as _};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use bytes::{Bytes, BytesMut};
use http::header::CONNECTION;
use http::{HeaderName, HeaderValue, StatusCode};
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, RwLock, Semaphore};
use tokio::time::{timeout, timeout_at};
use tower::ServiceExt;
use tracing::error;
use uuid::Uuid;

use crate::domain::rejection::Rejection;
use crate::domain::request::{Deadline, Received};
use crate::domain::timestamp::Timestamp;
use crate::ingest::receive::Receiver;
use crate::platform::Registration;
use crate::reading::problem::Problem;

/// The largest body that a handler gets, as on Lambda. It decodes less, but its answer to a hook repeats the body's fields.
const MAX_READ_BYTES: usize = 6 * 1024 * 1024;
/// A body that is larger than this needs room among the large ones until it is handled.
const SMALL_BYTES: usize = 16 * 1024;
/// Room for the large bodies of genuine callbacks, in KiB.
const LARGE_KIB: usize = 64 * 1024;
/// Room beside it for those of everybody else: unknown callers, and senders that sign their bodies.
const LARGE_KIB_OF_OTHERS: usize = 16 * 1024;
/// How long a body may take: as long as the longest sender timeout.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);
/// How many callbacks are handled at a time; an outage of DynamoDB holds each for a second until the circuit breaker opens,
/// and an error that is held back for `TENCENT_RETRIES_AFTER_TIMEOUT` for two.
const MAX_CALLBACKS: usize = 2_048;
/// How long a callback beyond these waits for its turn.
const MAX_WAIT: Duration = Duration::from_millis(500);
/// How many requests read the ledger at a time; an answer has up to 4 MB.
const MAX_READING: usize = 32;
/// How long a request beyond these waits for its turn.
const MAX_READING_WAIT: Duration = Duration::from_secs(5);

/// Where whoever is in front of the server says what it calls a request: proxies, and SCF.
const CALLERS_IDS: [HeaderName; 2] =
    [HeaderName::from_static("x-request-id"), HeaderName::from_static("x-scf-request-id")];

/// The callbacks that are read and handled.
#[derive(Clone)]
pub(super) struct Callbacks {
    handled: Arc<Semaphore>,
    large: Arc<Semaphore>,
    large_of_others: Arc<Semaphore>,
    /// Held for reading by each callback from its body on.
    under_way: Arc<RwLock<()>>,
}

impl Default for Callbacks {
    fn default() -> Self {
        Self {
            handled: Arc::new(Semaphore::new(MAX_CALLBACKS)),
            large: Arc::new(Semaphore::new(LARGE_KIB)),
            large_of_others: Arc::new(Semaphore::new(LARGE_KIB_OF_OTHERS)),
            under_way: Arc::default(),
        }
    }
}

impl Callbacks {
    /// A platform's routes.
    pub(super) fn router(&self, platform: &Registration, receiver: Arc<Receiver>) -> Router {
        let path = format!("/{}", platform.name);
        let mut router = Router::new().route(&path, any(callback));
        if platform.command_in_path {
            router = router.route(&format!("{path}/{{*command}}"), any(callback));
        }
        router.with_state((self.clone(), receiver))
    }

    /// Waits until every callback that was read is handled: those too whose senders have gone.
    pub(super) async fn finished(&self) {
        drop(self.under_way.write().await);
    }

    /// Reads a body until `ends`, with the room that a large one takes.
    ///
    /// # Errors
    ///
    /// If it is incomplete, or larger than a handler may see, or there is no room for it.
    async fn read(
        &self,
        mut body: Body,
        ends: tokio::time::Instant,
        is_genuine: impl FnOnce() -> bool,
    ) -> Result<(Bytes, Option<OwnedSemaphorePermit>), Rejection> {
        let size = body.size_hint().upper().and_then(|size| usize::try_from(size).ok()).unwrap_or(usize::MAX);
        let (mut read, mut room, mut is_genuine, mut is_too_large) = (BytesMut::new(), None, Some(is_genuine), false);
        while let Some(frame) = body.frame().await {
            // No data: trailers.
            let Ok(data) = frame.map_err(|_| Rejection::INCOMPLETE)?.into_data() else { continue };
            if is_too_large || read.len() + data.len() > MAX_READ_BYTES {
                // The rest is read all the same: who is still sending would not see the answer.
                (read, room, is_too_large) = (BytesMut::new(), None, true);
                continue;
            }
            if read.len() + data.len() > SMALL_BYTES
                && let Some(is_genuine) = is_genuine.take()
            {
                let large = if is_genuine() { &self.large } else { &self.large_of_others };
                // All of it at once: two that waited for a little more would wait for each other. A body without a length may come
                // to the most that is read.
                let kib = u32::try_from(size.min(MAX_READ_BYTES).div_ceil(1024)).unwrap_or(u32::MAX);
                let acquired = timeout_at(ends, Arc::clone(large).acquire_many_owned(kib)).await;
                room = acquired.map_err(|_| Rejection::NO_ROOM)?.ok();
            }
            read.extend_from_slice(&data);
        }
        if is_too_large { Err(Rejection::TOO_LARGE) } else { Ok((read.freeze(), room)) }
    }
}

async fn callback(State((callbacks, receiver)): State<(Callbacks, Arc<Receiver>)>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let start = Instant::now();
    let caller_request_id = CALLERS_IDS.iter().find_map(|name| parts.headers.get(name)).map(HeaderValue::as_bytes);
    let receipt = Received {
        at: Timestamp::now(),
        request_id: Uuid::new_v4().to_string(),
        caller_request_id: caller_request_id.map(|id| String::from_utf8_lossy(id).into_owned()),
        deadline: Deadline::None,
    };
    parts.extensions = http::Extensions::new();
    parts.extensions.insert(receipt.clone());
    let head = || http::Request::from_parts(parts.clone(), Bytes::new());
    let ends = tokio::time::Instant::now() + BODY_TIMEOUT;
    let read = timeout_at(ends, callbacks.read(body, ends, || receiver.vouches_for(&head()))).await;
    let (body, room) = match read.unwrap_or(Err(Rejection::INCOMPLETE)) {
        Ok(read) => read,
        Err(rejection) => {
            if rejection == Rejection::NO_ROOM && receiver.vouches_for(&head()) {
                error!(platform = receiver.platform().name(), "too many large callbacks at a time");
            }
            receiver.reject_head(&head(), rejection, start.elapsed());
            let close = [(CONNECTION, HeaderValue::from_static("close"))];
            return match rejection {
                // It was read to its end.
                Rejection::TOO_LARGE => StatusCode::PAYLOAD_TOO_LARGE.into_response(),
                Rejection::NO_ROOM => (StatusCode::SERVICE_UNAVAILABLE, close).into_response(),
                _ => (StatusCode::REQUEST_TIMEOUT, close).into_response(),
            };
        }
    };
    let under_way = Arc::clone(&callbacks.under_way).read_owned().await;
    // A task of its own: a sender that disconnects takes its connection along, and not the record.
    let handling = tokio::spawn(async move {
        let _under_way = under_way;
        let permit = timeout(MAX_WAIT, callbacks.handled.acquire()).await.ok();
        if permit.is_none() {
            error!(platform = receiver.platform().name(), "too many callbacks at a time");
        }
        // Without a permit, the log keeps the callback.
        let deadline = if permit.is_some() { Deadline::None } else { Deadline::Passed };
        parts.extensions.insert(Received { deadline, ..receipt });
        let answer = receiver.handle(Ok(http::Request::from_parts(parts, body))).await;
        answer.map(|text| Answer { room: room.filter(|_| text.len() > SMALL_BYTES), text })
    });
    // A handler does not panic, and nobody aborts it but the end of the process.
    handling.await.map_or_else(
        |_| StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        |answer| answer.map(|answer| Body::from(Bytes::from_owner(answer))),
    )
}

/// An answer's body. If it repeats a large body, it holds that body's room until it is sent.
struct Answer {
    text: String,
    #[expect(dead_code, reason = "held, not read")]
    room: Option<OwnedSemaphorePermit>,
}

impl AsRef<[u8]> for Answer {
    fn as_ref(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

/// The reader's paths, and a bound on how many requests read at a time.
pub(super) fn reader(reader: Router) -> Router {
    let reading = Arc::new(Semaphore::new(MAX_READING));
    let handler = any(async move |request: Request| {
        let Ok(Ok(_permit)) = timeout(MAX_READING_WAIT, reading.acquire()).await else {
            return Problem::new(StatusCode::SERVICE_UNAVAILABLE, "Too many requests at a time. Try again later.")
                .into_response();
        };
        match reader.oneshot(request).await {
            Ok(answer) => answer,
            Err(never) => match never {},
        }
    });
    Router::new().route("/ledger", handler.clone()).route("/ledger/{*path}", handler)
}

/// What has no route. No JSON, as API Gateway's is: `OpenIM` takes the fields of any JSON for those of a hook's answer.
pub(super) async fn not_found() -> Response {
    (StatusCode::NOT_FOUND, "There is nothing here.\n").into_response()
}
