//! API Gateway's event (HTTP API, payload format 2.0) as a [`Request`], and an answer as its response. No AWS types
//! beyond here.
//!
//! Shape: <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>

use std::borrow::Cow;
use std::collections::HashMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize;
use serde_json_borrow::Value;

use crate::domain::rejection::Rejection;
use crate::domain::request::{Headers, Query, Request};
use crate::domain::timestamp::Timestamp;

/// An event. What is used of it: `rawPath`, `rawQueryString`, `headers`, `body`, `isBase64Encoded`, and of
/// `requestContext` `http.method`, `requestId` and `timeEpoch`.
pub struct Event<'a>(Value<'a>);

impl<'a> Event<'a> {
    /// Reads an event.
    ///
    /// # Errors
    ///
    /// [`Rejection::NotAnEvent`] where it is no JSON.
    pub fn parse(event: &'a str) -> Result<Self, Rejection> {
        serde_json::from_str(event).map(Self).map_err(|_| Rejection::NotAnEvent)
    }

    /// The request that the event describes.
    ///
    /// `now` is the receipt's time where the event does not say: API Gateway does, in milliseconds, and its clock keeps
    /// the order of requests that cold starts shuffle. Local emulators say seconds, which no plausible time is.
    ///
    /// # Errors
    ///
    /// [`Rejection::NotAnEvent`] without a method or with a broken body.
    pub fn request(&'a self, now: Timestamp) -> Result<Request<'a>, Rejection> {
        let context = self.0.get("requestContext");
        let method = context.get("http").get("method").as_str().ok_or(Rejection::NotAnEvent)?;
        let received_at = context.get("timeEpoch").as_i64().and_then(Timestamp::from_unix_millis);
        let headers = self.0.get("headers").iter_object().into_iter().flatten();
        Ok(Request {
            method: Cow::Borrowed(method),
            path: Cow::Borrowed(self.0.get("rawPath").as_str().unwrap_or_default()),
            query: Query::parse(self.0.get("rawQueryString").as_str().unwrap_or_default()),
            headers: headers
                .filter_map(|(name, value)| Some((Cow::Borrowed(name), Cow::Borrowed(value.as_str()?))))
                .collect::<Headers<'a>>(),
            body: self.body()?,
            received_at: received_at.unwrap_or(now),
            request_id: Cow::Borrowed(context.get("requestId").as_str().unwrap_or_default()),
        })
    }

    /// The body's bytes, however many: Lambda takes 6 MB. API Gateway encodes what has no textual content type, and Tencent's may have none.
    fn body(&'a self) -> Result<Cow<'a, [u8]>, Rejection> {
        let text = match self.0.get("body") {
            Value::Str(text) => text.as_ref(),
            Value::Null => "",
            _ => return Err(Rejection::NotAnEvent),
        };
        if !self.0.get("isBase64Encoded").as_bool().unwrap_or(false) {
            return Ok(Cow::Borrowed(text.as_bytes()));
        }
        BASE64_STANDARD.decode(text).map(Cow::Owned).map_err(|_| Rejection::NotAnEvent)
    }
}

/// A response for API Gateway.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Response {
    /// The HTTP status.
    pub status_code: u32,
    /// The headers, in lower case.
    pub headers: HashMap<&'static str, &'static str>,
    /// The body, JSON.
    pub body: Cow<'static, str>,
    is_base64_encoded: bool,
    /// None are set; local emulators want the list.
    cookies: [&'static str; 0],
}

impl Response {
    /// The response with a platform's answer.
    #[must_use]
    pub fn new(status_code: u32, body: Cow<'static, str>) -> Self {
        let mut headers = HashMap::from([("content-type", "application/json")]);
        match status_code {
            401 => headers.insert("www-authenticate", "Basic realm=\"group-ledger\""),
            405 => headers.insert("allow", "POST"),
            _ => None,
        };
        Self { status_code, headers, body, is_base64_encoded: false, cookies: [] }
    }
}
