//! Who calls: `app` is this app's, and the header `X-Example-Token` has one of its tokens.

use group_ledger::domain::rejection::Rejection;
use group_ledger::domain::request::{Request, Verified};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use super::APP_PARAMETER;

/// The header that has the token.
pub(super) const TOKEN: &str = "x-example-token";

/// The token is missing or wrong.
pub(super) const BAD_TOKEN: Rejection = Rejection::new(40102, "The token is missing or wrong.");
/// `app` is missing or another app's.
pub(super) const FOREIGN_APP: Rejection = Rejection::new(40306, "app is missing or not this app's.");

pub(super) fn verify<'r, 'a>(
    request: &'r Request<'a>,
    app_id: &str,
    tokens: &[SecretString],
) -> Result<Verified<'r, 'a>, Rejection> {
    if request.query.get(APP_PARAMETER) != Some(app_id) {
        return Err(FOREIGN_APP);
    }
    if tokens.is_empty() {
        return Ok(Verified::vouch(request));
    }
    let presented = Sha256::digest(request.headers.get(TOKEN).ok_or(BAD_TOKEN)?);
    // Digests, so that the time taken does not tell a token's length; every token, so that it does not tell which matched.
    let matches = tokens.iter().fold(Choice::from(0), |matches, token| {
        matches | Sha256::digest(token.expose_secret()).as_slice().ct_eq(&presented)
    });
    if bool::from(matches) { Ok(Verified::vouch(request)) } else { Err(BAD_TOKEN) }
}
