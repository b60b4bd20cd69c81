//! OpenIM webhooks: one URL a server, the command as its last path segment; nothing is signed, so the URL carries
//! HTTP Basic credentials.
//!
//! The wire: `pkg/common/webhook` and `pkg/callbackstruct` of <https://github.com/openimsdk/open-im-server>; where its
//! documentation differs (<https://docs.openim.io/restapi/webhooks>), both are read.

use std::borrow::Cow;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use crate::domain::quarantine::Undecodable;
use crate::domain::rejection::Rejection;
use crate::domain::request::{Request, Verified};
use crate::platform::{Decoded, Platform};
use crate::settings::{SettingError, Settings};

mod decode;
mod respond;
mod verify;

/// One OpenIM server.
#[derive(Debug)]
pub struct OpenIm {
    app_id: String,
    /// `user:password`, any one of which may be presented; empty where anonymous callbacks are allowed.
    credentials: Vec<SecretString>,
}

impl Platform for OpenIm {
    const NAME: &'static str = "openim";

    /// `timeout` of an event in `webhooks.yml`, which is 5 for each.
    const SENDER_TIMEOUT: Duration = Duration::from_secs(5);

    fn retries_after_timeout(&self) -> bool {
        false
    }

    fn from_settings(settings: &Settings<'_>) -> Result<Self, SettingError> {
        let app_id = settings.text("OPENIM_APP_ID").unwrap_or_else(|| "openim".to_owned());
        if app_id.len() > 64 || app_id.contains('#') {
            return Err(SettingError::new(
                "OPENIM_APP_ID",
                "must be at most 64 bytes without a #: it is part of the table's keys",
            ));
        }
        let credentials = settings.secrets("OPENIM_CREDENTIALS")?;
        let complete = |pair: &SecretString| {
            pair.expose_secret()
                .split_once(':')
                .is_some_and(|(user, password)| !user.is_empty() && !password.is_empty())
        };
        if !credentials.iter().all(complete) {
            return Err(SettingError::new("OPENIM_CREDENTIALS", "must be user:password, several separated by commas"));
        }
        let allow_anonymous = settings.flag("OPENIM_ALLOW_ANONYMOUS")?;
        if credentials.is_empty() && !allow_anonymous {
            return Err(SettingError::new(
                "OPENIM_CREDENTIALS",
                "is not set: set it to user:password, or OPENIM_ALLOW_ANONYMOUS=true to take anybody's callbacks",
            ));
        }
        Ok(Self { app_id, credentials })
    }

    fn app_id(&self) -> &str {
        &self.app_id
    }

    const PARAMETERS: &'static [&'static str] = &["command"];

    fn url_command<'r>(request: &'r Request<'_>) -> Option<&'r str> {
        decode::url_commands(request).next()
    }

    fn records(command: &str) -> bool {
        decode::find(command).is_some() || decode::is_after(command)
    }

    fn verify<'r, 'a>(&self, request: &'r Request<'a>) -> Result<Verified<'r, 'a>, Rejection> {
        verify::verify(request, &self.credentials)
    }

    fn decode<'r>(request: Verified<'r, '_>) -> Result<Decoded<'r>, Undecodable<'r>> {
        decode::decode(request.request())
    }

    fn is_known_caller(&self, request: &Request<'_>) -> bool {
        verify::is_known_caller(request, &self.credentials)
    }

    fn respond(request: Option<&Request<'_>>, rejection: Option<Rejection>) -> Cow<'static, str> {
        respond::respond(request, rejection)
    }
}
