//! Example Chat webhooks: one URL for every event, with a token in a header. No such platform exists.
//!
//! The wire: `POST /example-chat?app=demo&event=room.renamed`, with the headers `X-Example-Token` and `X-Example-Tenant`, and
//!
//! ```json
//! {"event":"room.renamed","at":1715049600123,"by":"u1","room":{"id":"g1","title":"Trail runners"}}
//! ```
//!
//! The answer is `{"accepted":true}`, or `{"accepted":false,"error":{"code":40004,"message":"No group id was given."}}`.

use std::time::Duration;

use group_ledger::domain::callback::Callback;
use group_ledger::domain::rejection::Rejection;
use group_ledger::domain::request::{Request, Verified};
use group_ledger::platform::{Evidence, Platform, Registration, answer};
use group_ledger::settings::{SettingError, Settings};
use http::Response;
use secrecy::SecretString;
use serde::Serialize;

mod decode;
mod sender;
mod verify;

/// The query parameter that names the event.
const EVENT_PARAMETER: &str = "event";
/// The query parameter that names the app.
const APP_PARAMETER: &str = "app";
/// The header that says for which of the app's tenants the event is.
const TENANT: &str = "X-Example-Tenant";

/// One app of Example Chat.
#[derive(Debug)]
pub(crate) struct ExampleChat {
    app_id: String,
    /// Any one may be presented; empty where anybody may call.
    tokens: Vec<SecretString>,
}

/// How this platform is registered.
pub(crate) static REGISTRATION: Registration = Registration {
    name: "example-chat",
    command_in_path: false,
    from_settings: |settings| Ok(Box::new(ExampleChat::from_settings(settings)?)),
    decode: |callback| decode::decode(callback),
    app_id: |settings| settings.text("EXAMPLE_CHAT_APP_ID"),
    commands: &decode::COMMANDS,
    rejections: &[verify::BAD_TOKEN, verify::FOREIGN_APP],
    settings: &["EXAMPLE_CHAT_APP_ID", "EXAMPLE_CHAT_TOKENS", "EXAMPLE_CHAT_ALLOW_ANYBODY"],
    allow_anybody: "EXAMPLE_CHAT_ALLOW_ANYBODY",
    secrets: "EXAMPLE_CHAT_TOKENS",
    sample_app: &[("EXAMPLE_CHAT_APP_ID", "demo")],
    evidence: Evidence { window: Duration::from_secs(1), types_with_all_members: &[] },
    sender: sender::send,
};

impl ExampleChat {
    /// The app that the settings describe.
    ///
    /// # Errors
    ///
    /// If one is missing or wrong, or if nothing says who may call.
    fn from_settings(settings: &Settings<'_>) -> Result<Self, SettingError> {
        let app_id = settings.required("EXAMPLE_CHAT_APP_ID")?;
        if !app_id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(SettingError::new("EXAMPLE_CHAT_APP_ID", "must be letters and digits"));
        }
        let tokens = settings.secrets("EXAMPLE_CHAT_TOKENS")?;
        if tokens.is_empty() && !settings.flag("EXAMPLE_CHAT_ALLOW_ANYBODY")? {
            return Err(SettingError::new(
                "EXAMPLE_CHAT_TOKENS",
                "is not set: set it to the webhook's token, or EXAMPLE_CHAT_ALLOW_ANYBODY=true to take anybody's callbacks",
            ));
        }
        Ok(Self { app_id, tokens })
    }
}

impl Platform for ExampleChat {
    fn registration(&self) -> &'static Registration {
        &REGISTRATION
    }

    fn app_id(&self) -> &str {
        &self.app_id
    }

    fn sender_timeout(&self) -> Duration {
        Duration::from_secs(3)
    }

    fn retries_after_timeout(&self) -> bool {
        false
    }

    fn url_command<'r>(&self, request: &'r Request<'_>) -> Option<&'r str> {
        request.query.get(EVENT_PARAMETER).filter(|event| !event.is_empty())
    }

    fn verify<'r, 'a>(&self, request: &'r Request<'a>) -> Result<Verified<'r, 'a>, Rejection> {
        verify::verify(request, &self.app_id, &self.tokens)
    }

    fn is_known_caller(&self, request: &Request<'_>) -> bool {
        request.query.get(APP_PARAMETER) == Some(&self.app_id)
    }

    fn parse<'r>(&self, request: Verified<'r, '_>) -> Callback<'r> {
        let request = request.request();
        Callback::new(request, self.url_command(request), [(TENANT, request.headers.get(TENANT))])
    }

    fn records(&self, command: &str) -> bool {
        decode::row(command).is_some()
    }

    fn respond(&self, _request: Option<&Request<'_>>, outcome: Result<(), Rejection>) -> Response<String> {
        #[derive(Serialize)]
        struct Answer {
            accepted: bool,
            #[serde(skip_serializing_if = "Option::is_none")]
            error: Option<Error>,
        }

        #[derive(Serialize)]
        struct Error {
            code: u32,
            message: &'static str,
        }

        let error = outcome.err().map(|rejection| Error { code: rejection.code(), message: rejection.sentence() });
        // Neither a String nor an answer fails.
        let body = serde_json::to_string(&Answer { accepted: error.is_none(), error }).unwrap_or_default();
        answer(body, outcome)
    }
}
