//! Plays Tencent Cloud Chat, for tools and tests: an event that happens now, of the settings' app, with its `Sign`.

use http::Request;
use http::uri::{PathAndQuery, Uri};
use serde_json::{Value, json};

use super::{APP_PARAMETER, verify};
use crate::domain::timestamp::Timestamp;
use crate::settings::Settings;

pub(super) fn send(sample: &mut Request<Vec<u8>>, settings: &Settings<'_>, now: Timestamp) {
    if let Ok(mut body) = serde_json::from_slice::<Value>(sample.body())
        && let Some(time) = body.get_mut("EventTime")
    {
        *time = json!(now.unix_millis());
        *sample.body_mut() = body.to_string().into_bytes();
    }
    let query = sample.uri().query().unwrap_or_default();
    let own = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name != "Sign" && name != "RequestTime");
    let mut query = form_urlencoded::Serializer::new(String::new());
    let app_id = settings.text("TENCENT_SDK_APP_ID");
    for (name, value) in own {
        let app_id = app_id.as_deref().filter(|_| name == APP_PARAMETER);
        query.append_pair(&name, app_id.unwrap_or(&value));
    }
    if let Some(token) = settings.secrets("TENCENT_CALLBACK_TOKENS").ok().and_then(|tokens| tokens.into_iter().next()) {
        let time = now.unix_seconds().to_string();
        query.append_pair("Sign", &hex::encode(verify::sign(&token, &time))).append_pair("RequestTime", &time);
    }
    let mut parts = sample.uri().clone().into_parts();
    parts.path_and_query = PathAndQuery::try_from(format!("{}?{}", sample.uri().path(), query.finish())).ok();
    if let Ok(uri) = Uri::from_parts(parts) {
        *sample.uri_mut() = uri;
    }
}
