//! How the functions reach AWS: one HTTP client and one set of credentials and time-outs for every service, and what a
//! call can come to.

use std::time::Duration;

use aws_sdk_dynamodb::config::retry::{RetryConfig, RetryPartition, TokenBucket};
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{
    BehaviorVersion, Credentials, Region, SharedCredentialsProvider, StalledStreamProtectionConfig,
};
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_http_client::tls;
use aws_types::SdkConfig;

use crate::settings::{SettingError, Settings};

/// How long parts of a call may take.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// One attempt.
    pub attempt: Duration,
    /// Connecting, with TLS.
    pub connect: Duration,
}

/// A function's: three attempts in a second. The services' own latency is a few milliseconds.
pub const FUNCTION_TIMEOUTS: Timeouts =
    Timeouts { attempt: Duration::from_millis(300), connect: Duration::from_millis(250) };
const ATTEMPTS: u32 = 3;
const FIRST_BACKOFF: Duration = Duration::from_millis(25);

/// The configuration of every client, with the region and credentials that Lambda sets. Loads the root certificates, so
/// it belongs in a function's start.
///
/// # Errors
///
/// Where one of these is not set.
pub fn config(settings: &Settings<'_>, timeouts: Timeouts) -> Result<SdkConfig, SettingError> {
    // From the environment and nowhere else: the SDK's whole chain of providers costs milliseconds and a megabyte.
    let credentials = Credentials::new(
        settings.required("AWS_ACCESS_KEY_ID")?,
        settings.required("AWS_SECRET_ACCESS_KEY")?,
        settings.text("AWS_SESSION_TOKEN"),
        None,
        "environment",
    );
    let http_client = aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
        .build_https();
    let timeouts =
        TimeoutConfig::builder().connect_timeout(timeouts.connect).operation_attempt_timeout(timeouts.attempt).build();
    Ok(SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .http_client(http_client)
        .region(Region::new(settings.required("AWS_REGION")?))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .timeout_config(timeouts)
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS).with_initial_backoff(FIRST_BACKOFF))
        // Watches the throughput of long streams; the time-outs above watch ours.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .build())
}

/// Retries as often as [`ATTEMPTS`] and the caller's time allow. The SDK's own rationing would leave none after some fifty
/// failures, and one dead connection would then cost more than a retry.
pub(crate) fn retries(service: &'static str) -> RetryPartition {
    RetryPartition::custom(service).token_bucket(TokenBucket::unlimited()).build()
}

/// Why a call to a service did not do what it was to do, or not surely. Says nothing of what was sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// No answer in time.
    #[error("did not answer in time")]
    TimedOut,
    /// No connection, or one that broke.
    #[error("could not be reached")]
    Unreachable,
    /// The call ran into a defect of this program.
    #[error("was not called, for a defect")]
    Defect,
    /// The service rejected, with its error code (`AccessDeniedException`, `ResourceNotFoundException`, …).
    #[error("rejected: {0}")]
    Rejected(String),
    /// The service throttled the call.
    #[error("rejected: {code}")]
    Throttled {
        /// Its error code.
        code: String,
        /// What was throttled.
        scope: Scope,
    },
}

/// What a service throttled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The partition of the item's key.
    Partition,
    /// The table or the account.
    Table,
    /// The service does not say.
    Unknown,
}

impl<E: ProvideErrorMetadata> From<SdkError<E>> for CallError {
    fn from(error: SdkError<E>) -> Self {
        match error {
            SdkError::ServiceError(error) => Self::Rejected(error.err().code().unwrap_or("unknown").to_owned()),
            SdkError::TimeoutError(_) => Self::TimedOut,
            SdkError::DispatchFailure(failure) if failure.is_timeout() => Self::TimedOut,
            _ => Self::Unreachable,
        }
    }
}
