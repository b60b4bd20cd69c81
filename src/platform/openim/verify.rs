//! Who calls: the HTTP Basic credentials of the URL in `webhooks.yml`, which the server's HTTP client sends (Go's
//! `net/http` makes `Authorization: Basic` of `https://user:password@host/`).

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use crate::domain::rejection::Rejection;
use crate::domain::request::{Request, Verified};

/// HTTP Basic credentials are missing or wrong.
pub(super) const BAD_CREDENTIALS: Rejection = Rejection::new(40101, "The credentials are missing or wrong.");

pub(super) fn verify<'r, 'a>(
    request: &'r Request<'a>,
    credentials: &[SecretString],
) -> Result<Verified<'r, 'a>, Rejection> {
    if credentials.is_empty() {
        return Ok(Verified::vouch(request));
    }
    let presented = request.headers.get("authorization").and_then(basic).ok_or(BAD_CREDENTIALS)?;
    let presented = Sha256::digest(presented);
    // Digests, so that the time taken does not tell a pair's length; every pair, so that it does not tell which matched.
    let matches = credentials.iter().fold(Choice::from(0), |matches, pair| {
        matches | Sha256::digest(pair.expose_secret()).as_slice().ct_eq(&presented)
    });
    if bool::from(matches) { Ok(Verified::vouch(request)) } else { Err(BAD_CREDENTIALS) }
}

/// Whether the request presents one of the credentials' user names, or nobody has to present any.
pub(super) fn is_known_caller(request: &Request<'_>, credentials: &[SecretString]) -> bool {
    let presented = request.headers.get("authorization").and_then(basic).unwrap_or_default();
    let user = |pair: &[u8]| Sha256::digest(pair.split(|byte| *byte == b':').next().unwrap_or_default());
    let presented = user(&presented);
    let matches = credentials.iter().fold(Choice::from(u8::from(credentials.is_empty())), |matches, pair| {
        matches | user(pair.expose_secret().as_bytes()).as_slice().ct_eq(&presented)
    });
    matches.into()
}

/// The `user:password` of an `Authorization` header (RFC 7617).
fn basic(header: &str) -> Option<Vec<u8>> {
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    BASE64_STANDARD.decode(encoded.trim()).ok()
}
