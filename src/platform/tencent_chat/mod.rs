//! Tencent Cloud Chat webhooks: one URL an app for every command, signed in the query.
//!
//! The wire: "Webhook Overview" <https://www.tencentcloud.com/document/product/1047/34354> and a page a command.

use std::time::Duration;

use http::Response;
use secrecy::SecretString;
use serde::Serialize;

use crate::domain::callback::Callback;
use crate::domain::rejection::Rejection;
use crate::domain::request::{Request, Verified};
use crate::platform::{Evidence, Platform, Registration, answer};
use crate::settings::{SettingError, Settings};

mod decode;
mod sender;
mod verify;

/// The query parameter that names the command.
const COMMAND_PARAMETER: &str = "CallbackCommand";
/// The query parameter that names the app.
const APP_PARAMETER: &str = "SdkAppid";
/// The query parameters that say where the request for the change came from.
const CLIENT_IP: &str = "ClientIP";
const CLIENT_PLATFORM: &str = "OptPlatform";

/// One app of Tencent Cloud Chat.
#[derive(Debug)]
pub struct TencentChat {
    sdk_app_id: String,
    /// Any one may have made a `Sign`; empty where unsigned callbacks are allowed.
    tokens: Vec<SecretString>,
    /// The console's switch.
    retries_after_timeout: bool,
}

/// How this platform is registered.
pub static REGISTRATION: Registration = Registration {
    name: "tencent-chat",
    command_in_path: false,
    from_settings: |settings| Ok(Box::new(TencentChat::from_settings(settings)?)),
    decode: |callback| decode::decode(callback),
    app_id: |settings| settings.text("TENCENT_SDK_APP_ID"),
    commands: &decode::COMMANDS,
    rejections: &verify::REJECTIONS,
    settings: &[
        "TENCENT_SDK_APP_ID",
        "TENCENT_CALLBACK_TOKENS",
        "TENCENT_ALLOW_UNSIGNED",
        "TENCENT_RETRIES_AFTER_TIMEOUT",
    ],
    allow_anybody: "TENCENT_ALLOW_UNSIGNED",
    secrets: "TENCENT_CALLBACK_TOKENS",
    sample_app: &[("TENCENT_SDK_APP_ID", "1400000000")],
    evidence: Evidence {
        // The creation of a Community comes 3 s late: https://cloud.tencent.com/document/product/269/1663.
        window: Duration::from_secs(5),
        // Not AVChatRoom, whose audience comes and goes without a callback for each, and not types that are not known here:
        // https://www.tencentcloud.com/document/product/1047/33529.
        types_with_all_members: &["Public", "Private", "Work", "ChatRoom", "Meeting", "Community"],
    },
    sender: sender::send,
};

impl TencentChat {
    /// The app that the settings describe.
    ///
    /// # Errors
    ///
    /// If one is missing or wrong, or if nothing says who may call.
    fn from_settings(settings: &Settings<'_>) -> Result<Self, SettingError> {
        let sdk_app_id = settings.required("TENCENT_SDK_APP_ID")?;
        if !sdk_app_id.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(SettingError::new("TENCENT_SDK_APP_ID", "must be the digits of an SDKAppID"));
        }
        let tokens = settings.secrets("TENCENT_CALLBACK_TOKENS")?;
        let allow_unsigned = settings.flag("TENCENT_ALLOW_UNSIGNED")?;
        if tokens.is_empty() && !allow_unsigned {
            return Err(SettingError::new(
                "TENCENT_CALLBACK_TOKENS",
                "is not set: set it to the console's token, or TENCENT_ALLOW_UNSIGNED=true to take anybody's callbacks",
            ));
        }
        let retries_after_timeout = settings.flag_or("TENCENT_RETRIES_AFTER_TIMEOUT", true)?;
        Ok(Self { sdk_app_id, tokens, retries_after_timeout })
    }
}

impl Platform for TencentChat {
    fn registration(&self) -> &'static Registration {
        &REGISTRATION
    }

    fn app_id(&self) -> &str {
        &self.sdk_app_id
    }

    /// "Webhook Overview", on timeouts.
    fn sender_timeout(&self) -> Duration {
        Duration::from_secs(2)
    }

    fn retries_after_timeout(&self) -> bool {
        self.retries_after_timeout
    }

    fn url_command<'r>(&self, request: &'r Request<'_>) -> Option<&'r str> {
        request.query.get(COMMAND_PARAMETER).filter(|command| !command.is_empty())
    }

    fn verify<'r, 'a>(&self, request: &'r Request<'a>) -> Result<Verified<'r, 'a>, Rejection> {
        verify::verify(request, &self.sdk_app_id, &self.tokens)
    }

    fn is_known_caller(&self, request: &Request<'_>) -> bool {
        request.query.get(APP_PARAMETER) == Some(&self.sdk_app_id)
    }

    fn parse<'r>(&self, request: Verified<'r, '_>) -> Callback<'r> {
        let request = request.request();
        let parameter = |name| (name, request.query.get(name).filter(|value| !value.is_empty()));
        Callback::new(request, self.url_command(request), [CLIENT_IP, CLIENT_PLATFORM].map(parameter))
    }

    fn records(&self, command: &str) -> bool {
        decode::row(command).is_some()
    }

    fn respond(&self, _request: Option<&Request<'_>>, outcome: Result<(), Rejection>) -> Response<String> {
        /// "Response Packet" of every command's page.
        #[derive(Serialize)]
        #[serde(rename_all = "PascalCase")]
        struct Answer {
            action_status: &'static str,
            error_info: &'static str,
            error_code: u32,
        }

        let (action_status, error_info, error_code) = match outcome {
            Ok(()) => ("OK", "", 0),
            Err(rejection) => ("FAIL", rejection.sentence(), rejection.code()),
        };
        // Neither a String nor an answer fails.
        let body = serde_json::to_string(&Answer { action_status, error_info, error_code }).unwrap_or_default();
        answer(body, outcome)
    }
}
