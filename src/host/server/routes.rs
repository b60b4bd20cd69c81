//! Which handler a path has, and what a callback's request is bounded by before its handler sees it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, StatusCode};
use http_body_util::BodyExt;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tower::ServiceExt;
use tracing::{error, warn};
use uuid::Uuid;

use crate::domain::rejection::Rejection;
use crate::domain::request::Received;
use crate::domain::time_budget::FUNCTION_MARGIN;
use crate::domain::timestamp::Timestamp;
use crate::ingest::receive::Receiver;
use crate::platform::Registration;
use crate::reading::problem::Problem;

/// The largest body that is read: what Lambda would take.
const MAX_READ_BYTES: usize = 6 * 1024 * 1024;
/// Bodies beyond this are read by a few at a time.
const SMALL_BYTES: usize = 64 * 1024;
/// How many bodies larger than that are read at a time.
const MAX_LARGE_BODIES: usize = 16;
/// How long a body may take: as long as the most patient sender waits for its answer.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);
/// How many callbacks are handled at a time; an outage of DynamoDB holds each for a second until the circuit breaker opens.
const MAX_CALLBACKS: u32 = 2_048;
/// How long one more waits.
const MAX_WAIT: Duration = Duration::from_millis(500);
/// How many requests read the ledger at a time; an answer has up to 4 MB.
const MAX_READING: usize = 32;
/// How long one more of these waits.
const MAX_READING_WAIT: Duration = Duration::from_secs(5);

/// Where whoever is in front of the server says what it calls a request: proxies, and SCF.
const CALLERS_IDS: [HeaderName; 2] =
    [HeaderName::from_static("x-request-id"), HeaderName::from_static("x-scf-request-id")];

/// The callbacks that are read and handled.
#[derive(Clone)]
pub(super) struct Callbacks {
    handled: Arc<Semaphore>,
    large: Arc<Semaphore>,
}

impl Default for Callbacks {
    fn default() -> Self {
        Self {
            handled: Arc::new(Semaphore::new(MAX_CALLBACKS as usize)),
            large: Arc::new(Semaphore::new(MAX_LARGE_BODIES)),
        }
    }
}

/// Why a body is not there.
enum NoBody {
    TooLarge,
    Broken,
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
        let _ = self.handled.acquire_many(MAX_CALLBACKS).await;
    }

    async fn read(&self, mut body: Body) -> Result<Bytes, NoBody> {
        let (mut read, mut permit, mut is_too_large) = (BytesMut::new(), None, false);
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| NoBody::Broken)?.into_data() else { continue };
            if is_too_large || read.len() + data.len() > MAX_READ_BYTES {
                // The rest is read all the same: who is still sending would not see the answer.
                (read, permit, is_too_large) = (BytesMut::new(), None, true);
                continue;
            }
            if read.len() + data.len() > SMALL_BYTES && permit.is_none() {
                permit = self.large.acquire().await.ok();
            }
            read.extend_from_slice(&data);
        }
        if is_too_large { Err(NoBody::TooLarge) } else { Ok(read.freeze()) }
    }
}

async fn callback(State((callbacks, receiver)): State<(Callbacks, Arc<Receiver>)>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let at = Timestamp::now();
    let body = match timeout(BODY_TIMEOUT, callbacks.read(body)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(NoBody::TooLarge)) => Err(Rejection::TOO_LARGE),
        Ok(Err(NoBody::Broken)) | Err(_) => {
            warn!(platform = receiver.platform().name(), "a body did not come, or not in time");
            return (StatusCode::REQUEST_TIMEOUT, [(CONNECTION, HeaderValue::from_static("close"))]).into_response();
        }
    };
    let permit = timeout(MAX_WAIT, Arc::clone(&callbacks.handled).acquire_owned()).await.ok().and_then(Result::ok);
    // Then there is no time for DynamoDB or SQS: the log keeps the callback.
    let deadline = permit.is_none().then(|| Instant::now() + FUNCTION_MARGIN);
    if permit.is_none() {
        error!(platform = receiver.platform().name(), "too many callbacks at a time");
    }
    let caller_request_id = CALLERS_IDS.iter().find_map(|name| parts.headers.get(name)).map(HeaderValue::as_bytes);
    let receipt = Received {
        at,
        request_id: Uuid::new_v4().to_string(),
        deadline,
        caller_request_id: caller_request_id.map(|id| String::from_utf8_lossy(id).into_owned()),
    };
    parts.extensions = http::Extensions::new();
    parts.extensions.insert(receipt);
    let request = body.map(|body| http::Request::from_parts(parts, body));
    // A task of its own: a sender that goes takes its connection along, and not the record.
    let handling = tokio::spawn(async move {
        let _permit = permit;
        receiver.handle(request).await
    });
    // A handler does not panic, and nobody aborts it but the end of the process.
    handling.await.map_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response(), |answer| answer.map(Body::from))
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

/// As API Gateway answers where it has no route.
pub(super) async fn not_found() -> Response {
    let headers = [(CONTENT_TYPE, "application/json")];
    (StatusCode::NOT_FOUND, headers, r#"{"message":"Not Found"}"#).into_response()
}
