//! Tencent Cloud Chat webhooks: one URL an app for every command, signed in the query.
//!
//! The wire: "Webhook Overview" <https://www.tencentcloud.com/document/product/1047/34354> and a page a command.

use std::borrow::Cow;
use std::time::Duration;

use secrecy::SecretString;
use serde::Serialize;

use crate::domain::quarantine::Undecodable;
use crate::domain::rejection::Rejection;
use crate::domain::request::{Request, Verified};
use crate::platform::{Decoded, Platform};
use crate::settings::{SettingError, Settings};

mod decode;
mod verify;

/// The query parameter that names the command.
const COMMAND_PARAMETER: &str = "CallbackCommand";

/// One app of Tencent Cloud Chat.
#[derive(Debug)]
pub struct TencentChat {
    sdk_app_id: String,
    /// Any one may have made a `Sign`; empty where unsigned callbacks are allowed.
    tokens: Vec<SecretString>,
    /// The console's switch.
    retries_after_timeout: bool,
}

impl Platform for TencentChat {
    const NAME: &'static str = "tencent-chat";

    /// "Webhook Overview", on time-outs.
    const SENDER_TIMEOUT: Duration = Duration::from_secs(2);

    fn retries_after_timeout(&self) -> bool {
        self.retries_after_timeout
    }

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

    fn app_id(&self) -> &str {
        &self.sdk_app_id
    }

    const PARAMETERS: &'static [&'static str] = &[COMMAND_PARAMETER, "ClientIP", "OptPlatform"];

    fn url_command<'r>(request: &'r Request<'_>) -> Option<&'r str> {
        request.query.get(COMMAND_PARAMETER).filter(|command| !command.is_empty())
    }

    fn records(command: &str) -> bool {
        decode::row(command).is_some()
    }

    fn verify<'r, 'a>(&self, request: &'r Request<'a>) -> Result<Verified<'r, 'a>, Rejection> {
        verify::verify(request, &self.sdk_app_id, &self.tokens)
    }

    fn decode<'r>(request: Verified<'r, '_>) -> Result<Decoded<'r>, Undecodable<'r>> {
        decode::decode(request.request())
    }

    fn is_known_caller(&self, request: &Request<'_>) -> bool {
        request.query.get("SdkAppid") == Some(&self.sdk_app_id)
    }

    fn respond(_request: Option<&Request<'_>>, rejection: Option<Rejection>) -> Cow<'static, str> {
        /// "Response Packet" of every command's page.
        #[derive(Serialize)]
        #[serde(rename_all = "PascalCase")]
        struct Answer {
            action_status: &'static str,
            error_info: String,
            error_code: u32,
        }

        let Some(rejection) = rejection else {
            return Cow::Borrowed(r#"{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0}"#);
        };
        let answer = Answer { action_status: "FAIL", error_info: rejection.to_string(), error_code: rejection.code() };
        Cow::Owned(serde_json::to_string(&answer).unwrap_or_default())
    }
}
