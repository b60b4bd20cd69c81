//! How the functions reach AWS: one HTTP client and one set of credentials and timeouts for every service.

use std::time::Duration;

use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{
    BehaviorVersion, Credentials, Region, SharedCredentialsProvider, SharedHttpClient, StalledStreamProtectionConfig,
};
use aws_smithy_http_client::tls;
use aws_types::SdkConfig;

use crate::settings::{SettingError, Settings};
use crate::storage::call::{ATTEMPT_TIMEOUT, ATTEMPTS};

/// How long parts of a call may take.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// One attempt.
    pub attempt: Duration,
    /// Connecting, with TLS.
    pub connect: Duration,
}

/// A function's: three attempts in a second.
pub const FUNCTION_TIMEOUTS: Timeouts = Timeouts { attempt: ATTEMPT_TIMEOUT, connect: Duration::from_millis(250) };
/// The reader's: a page of a table is up to a megabyte.
pub const READER_TIMEOUTS: Timeouts = Timeouts { attempt: Duration::from_secs(3), connect: Duration::from_secs(1) };
/// The publisher's: a request is up to a megabyte, and nobody waits for it.
pub const PUBLISHER_TIMEOUTS: Timeouts = Timeouts { attempt: Duration::from_secs(3), connect: Duration::from_secs(1) };
const FIRST_BACKOFF: Duration = Duration::from_millis(25);

/// The configuration of every client, with the region and credentials that Lambda sets. Loads the root certificates, so
/// it belongs in a function's start.
///
/// # Errors
///
/// If one of these is not set.
pub fn config(settings: &Settings<'_>, timeouts: Timeouts) -> Result<SdkConfig, SettingError> {
    // From the environment and nowhere else: the SDK's whole chain of providers costs milliseconds and a megabyte.
    let credentials = Credentials::new(
        settings.required("AWS_ACCESS_KEY_ID")?,
        settings.required("AWS_SECRET_ACCESS_KEY")?,
        settings.text("AWS_SESSION_TOKEN"),
        None,
        "environment",
    );
    Ok(SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .http_client(http_client())
        .region(Region::new(settings.required("AWS_REGION")?))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .timeout_config(timeout_config(timeouts))
        .retry_config(retry_config())
        // Watches the throughput of long streams; the timeouts above watch ours.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .build())
}

/// The same for whoever is no Lambda function: region and credentials are found by the SDK's usual chain (environment, profiles,
/// web identity, ECS, EC2), and credentials are refreshed.
#[cfg(any(feature = "cli", feature = "server"))]
pub(crate) fn chain(timeouts: Timeouts) -> aws_config::ConfigLoader {
    aws_config::defaults(BehaviorVersion::v2026_01_12())
        .http_client(http_client())
        .timeout_config(timeout_config(timeouts))
        .retry_config(retry_config())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
}

/// The HTTP client, over TLS of ring.
pub(crate) fn http_client() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
        .build_https()
}

/// The timeouts, as the SDK takes them.
pub(crate) fn timeout_config(timeouts: Timeouts) -> TimeoutConfig {
    TimeoutConfig::builder().connect_timeout(timeouts.connect).operation_attempt_timeout(timeouts.attempt).build()
}

/// How often a call is tried, and how soon again.
pub(crate) fn retry_config() -> RetryConfig {
    RetryConfig::standard().with_max_attempts(ATTEMPTS).with_initial_backoff(FIRST_BACKOFF)
}
