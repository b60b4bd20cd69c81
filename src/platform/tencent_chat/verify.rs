//! Who calls: `SdkAppid` is this app's, and `Sign` was made with one of its tokens less than a minute ago.
//!
//! `Sign = hex(SHA-256(token ‖ RequestTime))` ("Webhook Overview", section on security): it covers neither body nor
//! command, so whoever sees one signed URL can post any body for the window's length.

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use super::COMMAND_PARAMETER;
use crate::domain::rejection::Rejection;
use crate::domain::request::{Request, Verified};

/// How far `RequestTime` may be off, either way: reject "more than 1 minute"
/// (<https://cloud.tencent.com/document/product/269/32431>).
const WINDOW_SECONDS: u64 = 60;

pub(super) fn verify<'r, 'a>(
    request: &'r Request<'a>,
    sdk_app_id: &str,
    tokens: &[SecretString],
) -> Result<Verified<'r, 'a>, Rejection> {
    let query = &request.query;
    query.at_most_once(&["SdkAppid", COMMAND_PARAMETER, "Sign", "RequestTime"])?;
    if query.get("SdkAppid") != Some(sdk_app_id) {
        return Err(Rejection::ForeignApp);
    }
    if tokens.is_empty() {
        return Ok(Verified::vouch(request));
    }

    // Digits before hashing: the time is hashed as it was sent, so nothing but a time may get that far.
    let time = query.get("RequestTime").filter(|time| is_digits(time)).ok_or(Rejection::NoSign)?;
    let sign = query.get("Sign").and_then(from_hex).ok_or(Rejection::NoSign)?;
    let seconds: i64 = time.parse().map_err(|_| Rejection::StaleSign)?;
    if request.received_at.unix_seconds().abs_diff(seconds) > WINDOW_SECONDS {
        return Err(Rejection::StaleSign);
    }

    // Every token is tried, so that the time taken does not tell which one matched.
    let matches = tokens.iter().fold(Choice::from(0), |matches, token| {
        let digest = Sha256::new().chain_update(token.expose_secret()).chain_update(time).finalize();
        matches | digest.as_slice().ct_eq(&sign)
    });
    if bool::from(matches) { Ok(Verified::vouch(request)) } else { Err(Rejection::WrongSign) }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The 32 bytes that 64 hex digits of either case write.
fn from_hex(hex: &str) -> Option<[u8; 32]> {
    let (pairs, []) = hex.as_bytes().as_chunks::<2>() else { return None };
    let mut bytes = [0; 32];
    if pairs.len() != bytes.len() {
        return None;
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        let digit = |digit: &u8| char::from(*digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        *byte = digit(high)? * 16 + digit(low)?;
    }
    Some(bytes)
}
