//! Reprocessing: what is kept of a genuine callback that was not understood, and decoding it again.

use std::borrow::Cow;

use crate::domain::quarantine::{Callback, Undecodable};
use crate::domain::request::{Request, Verified};
use crate::platform::{Decoded, Platform};

/// The headers that decoding reads.
const KEPT_HEADERS: [&str; 3] = ["content-encoding", "content-type", "operationid"];

/// What is kept of a request that could not be decoded or recorded, deleted `retention_days` after its receipt.
#[must_use]
pub fn callback<'r, P: Platform>(
    app_id: &'r str,
    reason: Undecodable<'r>,
    request: &'r Request<'_>,
    retention_days: Option<u32>,
) -> Callback<'r> {
    let is_command = |segment: &&str| P::url_command(request) == Some(segment);
    Callback {
        platform: Cow::Borrowed(P::NAME),
        app_id: Cow::Borrowed(app_id),
        reason,
        received_at: request.received_at,
        body: Cow::Borrowed(&request.body),
        request_id: Cow::Borrowed(&request.request_id),
        path: Cow::Borrowed(request.last_segment().filter(is_command).unwrap_or_default()),
        query: request.query.only(P::PARAMETERS),
        headers: KEPT_HEADERS
            .into_iter()
            .filter_map(|name| Some((Cow::Borrowed(name), Cow::Borrowed(request.headers.get(name)?))))
            .collect(),
        expires_at: retention_days.map(|days| request.received_at.after_days(days)),
    }
}

/// Decodes what is in quarantine again. It was verified when it came.
///
/// # Errors
///
/// Where it is still not understood.
pub fn reprocess<'r, P: Platform>(request: &'r Request<'_>) -> Result<Decoded<'r>, Undecodable<'r>> {
    P::decode(Verified::vouch(request))
}
