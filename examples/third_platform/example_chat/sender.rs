//! Plays Example Chat, for tools and tests: an event that happens now, of the settings' app, with its token.

use group_ledger::domain::timestamp::Timestamp;
use group_ledger::settings::Settings;
use http::{HeaderValue, Request, Uri};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::verify::TOKEN;
use super::{APP_PARAMETER, EVENT_PARAMETER};

pub(super) fn send(sample: &mut Request<Vec<u8>>, settings: &Settings<'_>, now: Timestamp) {
    if let Ok(mut body) = serde_json::from_slice::<Value>(sample.body())
        && let Some(time) = body.get_mut("at")
    {
        *time = json!(now.unix_millis());
        *sample.body_mut() = body.to_string().into_bytes();
    }
    let query = sample.uri().query().unwrap_or_default();
    let event = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == EVENT_PARAMETER);
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair(APP_PARAMETER, &settings.text("EXAMPLE_CHAT_APP_ID").unwrap_or_default());
    query.extend_pairs(event);
    let mut parts = sample.uri().clone().into_parts();
    parts.path_and_query = format!("{}?{}", sample.uri().path(), query.finish()).parse().ok();
    if let Ok(uri) = Uri::from_parts(parts) {
        *sample.uri_mut() = uri;
    }
    let token = settings.secrets("EXAMPLE_CHAT_TOKENS").ok().and_then(|tokens| tokens.into_iter().next());
    if let Some(mut token) = token.and_then(|token| HeaderValue::from_str(token.expose_secret()).ok()) {
        token.set_sensitive(true);
        sample.headers_mut().insert(TOKEN, token);
    }
}
