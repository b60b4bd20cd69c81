//! From a request to a change: verify, parse, decode. Pure: the time is the request's.

use std::borrow::Cow;

use crate::domain::callback::Callback;
use crate::domain::quarantine::Undecodable;
use crate::domain::rejection::Rejection;
use crate::domain::request::{MAX_BODY_BYTES, Request, Verified};
use crate::panics::unwound;
use crate::platform::{Decoded, Platform};

/// Why a genuine callback is not decoded.
#[derive(Debug, PartialEq, Eq)]
pub enum DecodeFailure<'c> {
    /// It is rejected and not stored, because it may contain messages.
    Rejected(Rejection),
    /// It is not understood: it is for quarantine.
    Undecodable(Undecodable<'c>),
}

/// Verifies a request; `None` where it is no callback but a console's check of the URL, an empty POST without a command.
///
/// # Errors
///
/// If nothing says that it is genuine.
pub fn verify<'r, 'a>(
    platform: &dyn Platform,
    request: &'r Request<'a>,
) -> Result<Option<Verified<'r, 'a>>, Rejection> {
    if request.method != "POST" {
        return Err(Rejection::NOT_POST);
    }
    if request.body.len() > MAX_BODY_BYTES {
        return Err(Rejection::TOO_LARGE);
    }
    if request.body.trim_ascii().is_empty() && platform.url_command(request).is_none() {
        return Ok(None);
    }
    platform.verify(request).map(Some)
}

/// Parses a genuine request; whether that succeeded. Where it met a defect, the callback has the URL's command and the body.
#[must_use]
pub fn parse<'r>(platform: &dyn Platform, request: Verified<'r, '_>) -> (Callback<'r>, bool) {
    if let Some(callback) = unwound(|| platform.parse(request)) {
        return (callback, true);
    }
    let request = request.request();
    let command = unwound(|| platform.url_command(request)).flatten();
    (Callback::new(request, command, []), false)
}

/// Decodes a callback.
///
/// # Errors
///
/// If it is none of this family, or not understood.
pub fn decode<'c>(platform: &dyn Platform, callback: &'c Callback<'_>) -> Result<Decoded<'c>, DecodeFailure<'c>> {
    let decoded = if callback.content_encoding.is_some() {
        Err(Rejection::COMPRESSED.into())
    } else {
        // A defect of the decoder must not lose what it was given.
        unwound(|| platform.decode(callback)).unwrap_or_else(|| Err(Rejection::DEFECT.into()))
    };
    decoded.or_else(|reason| classify(platform, callback, reason))
}

/// Whether a callback that was not understood is for quarantine. Commands that are not recorded are never stored: they may contain
/// messages.
///
/// # Errors
///
/// Always, but for a command that is not recorded.
pub fn classify<'c>(
    platform: &dyn Platform,
    callback: &'c Callback<'_>,
    reason: Undecodable<'c>,
) -> Result<Decoded<'c>, DecodeFailure<'c>> {
    let is_unrecorded = |command: &str| unwound(|| !platform.records(command)).unwrap_or(false);
    let in_url = callback.command.as_deref().filter(|command| is_unrecorded(command));
    match (reason.rejection, in_url) {
        (Rejection::NOT_JSON | Rejection::COMPRESSED | Rejection::DEFECT, Some(command)) => {
            Ok(Decoded::Ignored(Cow::Borrowed(command)))
        }
        (Rejection::COMMAND_MISMATCH, in_url)
            if in_url.is_some() || reason.command.as_deref().is_some_and(is_unrecorded) =>
        {
            Err(DecodeFailure::Rejected(reason.rejection))
        }
        _ => Err(DecodeFailure::Undecodable(reason)),
    }
}
