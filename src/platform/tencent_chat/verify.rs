//! Who calls: `SdkAppid` is this app's, and `Sign` was made with one of its tokens less than a minute ago.
//!
//! `Sign = hex(SHA-256(token ‖ RequestTime))` ("Webhook Overview", section on security): it covers neither body nor
//! command, so whoever sees one signed URL can post any body for the window's length.

use hex::FromHex;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use super::{APP_PARAMETER, COMMAND_PARAMETER};
use crate::domain::rejection::Rejection;
use crate::domain::request::{Request, Verified};

/// How far `RequestTime` may be off, either way: reject "more than 1 minute"
/// (<https://cloud.tencent.com/document/product/269/32431>).
const WINDOW_SECONDS: u64 = 60;

/// `SdkAppid` is missing or another app's.
const FOREIGN_APP: Rejection = Rejection::new(40301, "SdkAppid is missing or not this app's.");
/// A parameter that decides who is calling was given more than once.
const REPEATED_PARAMETER: Rejection = Rejection::new(40302, "A query parameter is repeated.");
/// `Sign` or `RequestTime` is missing or malformed.
const NO_SIGN: Rejection = Rejection::new(40303, "Sign or RequestTime is missing or malformed.");
/// `RequestTime` is more than 60 seconds off.
const STALE_SIGN: Rejection = Rejection::new(40304, "RequestTime is more than 60 seconds off.");
/// `Sign` was made with none of the live tokens.
const WRONG_SIGN: Rejection = Rejection::new(40305, "Sign is wrong.");

pub(super) static REJECTIONS: [Rejection; 5] = [FOREIGN_APP, REPEATED_PARAMETER, NO_SIGN, STALE_SIGN, WRONG_SIGN];

pub(super) fn verify<'r, 'a>(
    request: &'r Request<'a>,
    sdk_app_id: &str,
    tokens: &[SecretString],
) -> Result<Verified<'r, 'a>, Rejection> {
    let query = &request.query;
    if query.repeats(&[APP_PARAMETER, COMMAND_PARAMETER, "Sign", "RequestTime"]) {
        return Err(REPEATED_PARAMETER);
    }
    if query.get(APP_PARAMETER) != Some(sdk_app_id) {
        return Err(FOREIGN_APP);
    }
    if tokens.is_empty() {
        return Ok(Verified::vouch(request));
    }

    // Digits before hashing: the time is hashed as it was sent, so nothing but a time may get that far.
    let time = query.get("RequestTime").filter(|time| is_digits(time)).ok_or(NO_SIGN)?;
    let sign = query.get("Sign").and_then(|sign| <[u8; 32]>::from_hex(sign).ok()).ok_or(NO_SIGN)?;
    let seconds: i64 = time.parse().map_err(|_| STALE_SIGN)?;
    if request.received_at.unix_seconds().abs_diff(seconds) > WINDOW_SECONDS {
        return Err(STALE_SIGN);
    }

    // Every token is tried, so that the time taken does not tell which one matched.
    let matches =
        tokens.iter().fold(Choice::from(0), |matches, token| matches | self::sign(token, time).as_slice().ct_eq(&sign));
    if bool::from(matches) { Ok(Verified::vouch(request)) } else { Err(WRONG_SIGN) }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// What `Sign` is the hex of, for a token at a `RequestTime`.
pub(super) fn sign(token: &SecretString, time: &str) -> [u8; 32] {
    Sha256::new().chain_update(token.expose_secret()).chain_update(time).finalize().into()
}
