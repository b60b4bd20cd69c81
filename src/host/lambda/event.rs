//! API Gateway's event (HTTP API, payload format 2.0) as an [`http::Request`], by `lambda_http`, and the answer as its response.
//!
//! `lambda_http` 1.3 panics on an invalid `Host`, path, query or body (`a b` as a host is enough). We remove or encode these before
//! it converts the event, so that no request causes a panic.

use std::time::Instant;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::header::HOST;
use lambda_http::aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use lambda_http::request::{LambdaRequest, RequestContext};
use lambda_http::{Body, RequestExt};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::domain::rejection::Rejection;
use crate::domain::request::{Deadline, Received};
use crate::domain::timestamp::Timestamp;

/// What a query of [`http::Uri`] must not have in it.
const QUERY: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'<').add(b'>');
/// What would end a path, or be read as something else.
const PATH: &AsciiSet = &QUERY.add(b'?').add(b'\\').add(b'`').add(b'{').add(b'}');
/// The longest path and query together; API Gateway takes 10,240 bytes of request line and headers.
const MAX_URI_BYTES: usize = 32 * 1024;

/// What invoked the function: an event of API Gateway, or anything else.
pub struct Event(Option<Box<ApiGatewayV2httpRequest>>);

impl<'de> Deserialize<'de> for Event {
    /// Takes any JSON: what is no event is answered, and no failed invocation.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let event = <&RawValue>::deserialize(deserializer)?;
        Ok(Self(serde_json::from_str(event.get()).ok()))
    }
}

impl Event {
    /// The request that the event describes, with [`Received`] among its extensions; to be answered before `deadline`.
    ///
    /// The body has its own bytes, however many: Lambda takes 6 MB. API Gateway encodes what has no textual content type,
    /// and Tencent's may have none. The time is API Gateway's where it is one, because its clock keeps the order of requests
    /// that cold starts shuffle. Local emulators say seconds, which no plausible time is: then it is `now`.
    ///
    /// # Errors
    ///
    /// [`Rejection::NOT_AN_EVENT`] where it describes none.
    pub fn into_request(self, now: Timestamp, deadline: Option<Instant>) -> Result<http::Request<Bytes>, Rejection> {
        let mut event = *self.0.ok_or(Rejection::NOT_AN_EVENT)?;
        let body = event.body.take().unwrap_or_default();
        let body = if event.is_base64_encoded {
            BASE64_STANDARD.decode(body).map_err(|_| Rejection::NOT_AN_EVENT)?.into()
        } else {
            body.into()
        };
        make_harmless(&mut event)?;
        let request = lambda_http::Request::from(LambdaRequest::ApiGatewayV2(event));
        let Some(RequestContext::ApiGatewayV2(context)) = request.request_context_ref() else {
            return Err(Rejection::NOT_AN_EVENT);
        };
        let received = Received {
            at: Timestamp::from_unix_millis(context.time_epoch).unwrap_or(now),
            request_id: context.request_id.clone().unwrap_or_default(),
            // API Gateway's own is the one that its log has.
            caller_request_id: None,
            deadline: deadline.map_or(Deadline::None, Deadline::At),
        };
        let (mut parts, _) = request.into_parts();
        parts.extensions = http::Extensions::new();
        parts.extensions.insert(received);
        Ok(http::Request::from_parts(parts, body))
    }
}

/// Takes away what `lambda_http` makes a URI of and nobody here reads, and encodes what no URI has.
fn make_harmless(event: &mut ApiGatewayV2httpRequest) -> Result<(), Rejection> {
    event.headers.remove(HOST);
    event.request_context.domain_name = None;
    event.request_context.stage = None;
    let path = event.raw_path.take().unwrap_or_default();
    let path = utf8_percent_encode(path.trim_start_matches('/'), PATH).to_string();
    let query = event.raw_query_string.take().unwrap_or_default();
    let query = utf8_percent_encode(&query, QUERY).to_string();
    if path.len() + query.len() > MAX_URI_BYTES {
        return Err(Rejection::NOT_AN_EVENT);
    }
    event.raw_path = Some(format!("/{path}"));
    event.raw_query_string = Some(query);
    Ok(())
}

/// The response that API Gateway makes of an answer.
#[must_use]
pub fn response(answer: http::Response<String>) -> ApiGatewayV2httpResponse {
    let (parts, body) = answer.into_parts();
    let mut response = ApiGatewayV2httpResponse::default();
    response.status_code = i64::from(parts.status.as_u16());
    response.headers = parts.headers;
    response.body = Some(Body::Text(body));
    response
}
