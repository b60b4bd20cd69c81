//! Plays the server, for tools and tests: presents the first of the settings' credentials.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::HeaderValue;
use http::header::AUTHORIZATION;
use secrecy::ExposeSecret;

use crate::domain::timestamp::Timestamp;
use crate::settings::Settings;

pub(super) fn send(sample: &mut http::Request<Vec<u8>>, settings: &Settings<'_>, _now: Timestamp) {
    let credentials = settings.secrets("OPENIM_CREDENTIALS").ok().and_then(|pairs| pairs.into_iter().next());
    let header = credentials.map(|pair| format!("Basic {}", BASE64_STANDARD.encode(pair.expose_secret())));
    if let Some(mut header) = header.and_then(|header| HeaderValue::try_from(header).ok()) {
        header.set_sensitive(true);
        sample.headers_mut().insert(AUTHORIZATION, header);
    }
}
