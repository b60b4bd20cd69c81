//! What goes wrong, as `application/problem+json` (RFC 9457).

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{ALLOW, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use crate::storage::read::ReadError;

/// An error's answer. Says nothing of what the ledger holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// The status in words.
    pub title: String,
    /// What is wrong, and what to do.
    pub detail: String,
    /// The parameter that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameter: Option<String>,
}

impl Problem {
    /// A problem with a status.
    #[must_use]
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or_default().to_owned();
        Self { status: status.as_u16(), title, detail: detail.into(), parameter: None }
    }

    /// A parameter that is wrong; `detail` continues the sentence that its name begins.
    #[must_use]
    pub fn parameter(name: &str, detail: &str) -> Self {
        let problem = Self::new(StatusCode::BAD_REQUEST, format!("{name} {detail}"));
        Self { parameter: Some(name.to_owned()), ..problem }
    }

    /// Nothing is recorded under what was asked for.
    #[must_use]
    pub fn not_found(detail: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// The method is not GET (or HEAD).
    #[must_use]
    pub fn only_get() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "Only GET reads the ledger.")
    }

    /// The table did not answer in time, or not at all.
    #[must_use]
    pub fn unavailable() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "The ledger does not answer at the moment. Try again later.")
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        // The log has the error: an answer never carries a library's text.
        match &error {
            ReadError::Call(error) => {
                tracing::warn!(%error, "the table cannot be read");
                Self::unavailable()
            }
            ReadError::Item(_) | ReadError::MissingPart | ReadError::Damaged => {
                tracing::error!(%error, "an item cannot be read");
                Self::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "A record cannot be read: this is a defect, or something else has changed the table.",
                )
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        // Neither a String nor a problem fails.
        let mut response = Response::new(Body::from(serde_json::to_string(&self).unwrap_or_default()));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        }
        *response.status_mut() = status;
        response
    }
}
