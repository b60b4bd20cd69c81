//! Errors of calls to AWS services, the timeout of an attempt, and retries.

use std::error::Error;
use std::time::Duration;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_dynamodb::config::retry::{RetryPartition, TokenBucket};
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

/// How long one attempt of a function may take. The services' own latency is a few milliseconds.
pub const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(300);
/// How often a call is tried.
pub const ATTEMPTS: u32 = 3;

/// Disables the SDK's retry token bucket, which stops retrying after about 50 failures: then one dead connection would cost more
/// than a retry.
pub(crate) fn retries(service: &'static str) -> RetryPartition {
    RetryPartition::custom(service).token_bucket(TokenBucket::unlimited()).build()
}

/// Why a call failed, or may have failed. Says nothing of what was sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// No answer in time.
    #[error("did not answer in time")]
    TimedOut,
    /// It was not called: the callback had no time left.
    #[error("was not called: no time was left")]
    NoTime,
    /// No connection, or one that broke.
    #[error("could not be reached")]
    Unreachable,
    /// It was not called: there are no credentials, or whoever has them did not answer.
    #[error("was not called: there are no usable AWS credentials")]
    NoCredentials,
    /// The call ran into a defect of this program.
    #[error("was not called because of an internal error")]
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
            SdkError::DispatchFailure(failure)
                if failure.as_connector_error().is_some_and(|error| is_of_credentials(error)) =>
            {
                Self::NoCredentials
            }
            _ => Self::Unreachable,
        }
    }
}

fn is_of_credentials(error: &(dyn Error + 'static)) -> bool {
    error.is::<CredentialsError>() || error.source().is_some_and(is_of_credentials)
}
