//! OpenIM webhooks: one URL a server, the command as its last path segment; nothing is signed, so the URL carries
//! HTTP Basic credentials.
//!
//! The wire: `pkg/common/webhook` and `pkg/callbackstruct` of <https://github.com/openimsdk/open-im-server>; where its
//! documentation differs (<https://docs.openim.io/restapi/webhooks>), both are read.

use std::time::Duration;

use http::header::WWW_AUTHENTICATE;
use http::{HeaderValue, Response};
use secrecy::{ExposeSecret, SecretString};

use crate::domain::callback::Callback;
use crate::domain::rejection::Rejection;
use crate::domain::request::{Request, Verified};
use crate::platform::{Evidence, Platform, Registration, answer};
use crate::settings::{SettingError, Settings};

mod decode;
mod respond;
mod sender;
mod verify;

/// The query parameter that names the command in older servers and pages.
const COMMAND_PARAMETER: &str = "command";
/// The header with the id of the request that caused the callback.
const OPERATION_ID: &str = "operationID";

/// One OpenIM server.
#[derive(Debug)]
pub struct OpenIm {
    app_id: String,
    /// `user:password`, any one of which may be presented; empty where anonymous callbacks are allowed.
    credentials: Vec<SecretString>,
}

/// How this platform is registered.
pub static REGISTRATION: Registration = Registration {
    name: "openim",
    command_in_path: true,
    from_settings: |settings| Ok(Box::new(OpenIm::from_settings(settings)?)),
    decode: |callback| decode::decode(callback),
    app_id: |settings| Some(app_id(settings)),
    commands: &decode::COMMANDS,
    rejections: &[verify::BAD_CREDENTIALS],
    settings: &["OPENIM_APP_ID", "OPENIM_CREDENTIALS", "OPENIM_ALLOW_ANONYMOUS"],
    allow_anybody: "OPENIM_ALLOW_ANONYMOUS",
    secrets: "OPENIM_CREDENTIALS",
    sample_app: &[],
    evidence: Evidence {
        // Two workers send at a time, and a creation has the server's clock where all else has ours.
        window: Duration::from_mins(1),
        // Neither invited nor accepted members have a callback (`internal/rpc/group/group.go`).
        types_with_all_members: &[],
    },
    sender: sender::send,
};

impl OpenIm {
    /// The server that the settings describe.
    ///
    /// # Errors
    ///
    /// If one is missing or wrong, or if nothing says who may call.
    fn from_settings(settings: &Settings<'_>) -> Result<Self, SettingError> {
        let app_id = app_id(settings);
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
}

fn app_id(settings: &Settings<'_>) -> String {
    settings.text("OPENIM_APP_ID").unwrap_or_else(|| "openim".to_owned())
}

impl Platform for OpenIm {
    fn registration(&self) -> &'static Registration {
        &REGISTRATION
    }

    fn app_id(&self) -> &str {
        &self.app_id
    }

    /// `timeout` of an event in `webhooks.yml`, which is 5 for each.
    fn sender_timeout(&self) -> Duration {
        Duration::from_secs(5)
    }

    fn retries_after_timeout(&self) -> bool {
        false
    }

    fn url_command<'r>(&self, request: &'r Request<'_>) -> Option<&'r str> {
        decode::url_commands(request).next()
    }

    fn verify<'r, 'a>(&self, request: &'r Request<'a>) -> Result<Verified<'r, 'a>, Rejection> {
        verify::verify(request, &self.credentials)
    }

    fn is_known_caller(&self, request: &Request<'_>) -> bool {
        verify::is_known_caller(request, &self.credentials)
    }

    fn parse<'r>(&self, request: Verified<'r, '_>) -> Callback<'r> {
        let request = request.request();
        let mut commands = decode::url_commands(request);
        let command = commands.next();
        let operation_id = request.headers.get(OPERATION_ID);
        Callback::new(request, command, [(COMMAND_PARAMETER, commands.next()), (OPERATION_ID, operation_id)])
    }

    fn records(&self, command: &str) -> bool {
        decode::find(command).is_some() || decode::is_after(command)
    }

    fn respond(&self, request: Option<&Request<'_>>, outcome: Result<(), Rejection>) -> Response<String> {
        let mut response = answer(respond::body(request, outcome.err()), outcome);
        if outcome == Err(verify::BAD_CREDENTIALS) {
            let challenge = HeaderValue::from_static("Basic realm=\"group-ledger\"");
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }
}
