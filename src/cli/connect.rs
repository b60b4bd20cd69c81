//! The ledger and the queues that a command is for: their addresses, and the credentials of whoever asks.

use std::env;
use std::net::IpAddr;

use anyhow::{Context, Error, Result, anyhow};
use aws_sdk_dynamodb::config::{
    BehaviorVersion, Credentials, ProvideCredentials as _, Region, SharedCredentialsProvider,
    StalledStreamProtectionConfig,
};
use aws_types::SdkConfig;

use crate::cli::{Options, Usage};
use crate::host::aws::{Timeouts, chain, http_client, retry_config, timeout_config};
use crate::platform::PLATFORMS;
use crate::settings::Settings;
use crate::storage::call::CallError;
use crate::storage::ledger::{Ledger, LedgerError};
use crate::storage::queue::Queue;
use crate::storage::read::ReadError;

pub(crate) use timeouts::{READING, WRITING};

mod timeouts {
    use std::time::Duration;

    use crate::host::aws::Timeouts;

    /// Longer than a function's, because the region may be far away. Three attempts end within the feed's settle time, because
    /// a record's place in the feed is stamped before the first.
    pub(crate) const WRITING: Timeouts = Timeouts { attempt: Duration::from_secs(2), connect: Duration::from_secs(1) };
    /// A page has up to a megabyte, and the user's connection may be slow.
    pub(crate) const READING: Timeouts = Timeouts { attempt: Duration::from_secs(10), connect: Duration::from_secs(3) };
}

/// The table of a local stack.
const LOCAL_TABLE: &str = "group-changes";
const LOCAL_REGION: &str = "us-east-1";

/// A ledger, and where it is, for error messages.
pub(crate) struct Connection {
    pub(crate) ledger: Ledger,
    /// Where it is, for messages.
    pub(crate) place: Place,
}

/// Where a service is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    endpoint: Option<String>,
    pub(crate) region: String,
}

impl Options {
    /// The ledger.
    pub(crate) async fn connect(&self, timeouts: Timeouts) -> Result<Connection> {
        let endpoint = self.endpoint();
        let table = self.table(endpoint.as_deref())?;
        let (config, place) = self.config(endpoint, timeouts).await?;
        let lookup = |name: &str| match name {
            "TABLE_NAME" => Some(table.clone()),
            "AWS_ENDPOINT_URL_DYNAMODB" => place.endpoint.clone(),
            name => env::var(name).ok(),
        };
        let ledger =
            Ledger::from_settings(&Settings::new(&lookup), &config).map_err(|error| Usage::new(error.to_string()))?;
        Ok(Connection { ledger, place })
    }

    /// A queue, at its own endpoint.
    pub(crate) async fn queue(&self, queue_url: &str, endpoint: Option<String>) -> Result<(Queue, Place)> {
        const NAME: &str = "QUEUE_URL";
        let (config, place) = self.service(endpoint, "AWS_ENDPOINT_URL_SQS", WRITING).await?;
        let lookup = |name: &str| match name {
            NAME => Some(queue_url.to_owned()),
            "AWS_ENDPOINT_URL_SQS" => place.endpoint.clone(),
            name => env::var(name).ok(),
        };
        let queue = Queue::from_settings(&Settings::new(&lookup), &config, NAME).ok().flatten();
        let queue = queue.ok_or_else(|| Usage::new(format!("\"{queue_url}\" is not the URL of a queue")))?;
        Ok((queue, place))
    }

    /// What a client of a service is made from: at its own endpoint, or at that of a variable, or at AWS's own.
    pub(crate) async fn service(
        &self,
        endpoint: Option<String>,
        name: &str,
        timeouts: Timeouts,
    ) -> Result<(SdkConfig, Place)> {
        let endpoint = endpoint.or_else(|| variable(name)).or_else(|| variable("AWS_ENDPOINT_URL"));
        self.config(endpoint, timeouts).await
    }

    fn endpoint(&self) -> Option<String> {
        let given = self.endpoint_url.clone().filter(|url| !url.is_empty());
        given.or_else(|| variable("AWS_ENDPOINT_URL_DYNAMODB")).or_else(|| variable("AWS_ENDPOINT_URL"))
    }

    fn table(&self, endpoint: Option<&str>) -> Result<String, Usage> {
        let given = self.table.clone().filter(|name| !name.trim().is_empty());
        let local = || endpoint.filter(|url| is_local(url)).map(|_| LOCAL_TABLE.to_owned());
        given.or_else(local).ok_or_else(|| {
            Usage::new(
                "no table is named: pass --table NAME or set TABLE_NAME. NAME is the output TableName of the deployment; \
                 for `make run`, pass --endpoint-url http://127.0.0.1:8000 instead",
            )
        })
    }

    /// Whether the ledger is a local stack's.
    pub(crate) fn is_local(&self) -> bool {
        self.endpoint().is_some_and(|url| is_local(&url))
    }

    /// A setting of the environment; that of a local stack's functions where the environment has none.
    pub(crate) fn setting(&self, name: &str) -> Option<String> {
        let samples = PLATFORMS.iter().flat_map(|platform| platform.sample_app).filter(|_| self.is_local());
        variable(name).or_else(|| samples.clone().find(|(own, _)| *own == name).map(|(_, value)| (*value).to_owned()))
    }

    async fn config(&self, endpoint: Option<String>, timeouts: Timeouts) -> Result<(SdkConfig, Place)> {
        if let Some(url) = endpoint.as_ref().filter(|url| !is_url(url)) {
            return Err(Usage::new(format!("\"{url}\" is not a URL: it must begin with http:// or https://")).into());
        }
        let config = match &endpoint {
            Some(url) if is_local(url) && self.profile.is_none() => self.local(timeouts),
            _ => self.usual(timeouts).await?,
        };
        let region = config.region().map(ToString::to_string).unwrap_or_default();
        Ok((config, Place { endpoint, region }))
    }

    /// The environment's credentials, or any: a service on this machine asks for none, and is shown nobody's own.
    fn local(&self, timeouts: Timeouts) -> SdkConfig {
        let or_local = |name| variable(name).unwrap_or_else(|| "local".to_owned());
        let credentials = Credentials::new(
            or_local("AWS_ACCESS_KEY_ID"),
            or_local("AWS_SECRET_ACCESS_KEY"),
            variable("AWS_SESSION_TOKEN"),
            None,
            "local",
        );
        let region = self.region.clone().or_else(|| variable("AWS_REGION")).or_else(|| variable("AWS_DEFAULT_REGION"));
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .http_client(http_client())
            .region(Region::new(region.unwrap_or_else(|| LOCAL_REGION.to_owned())))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .timeout_config(timeout_config(timeouts))
            .retry_config(retry_config())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .build()
    }

    /// What the SDK's own chain of providers finds.
    async fn usual(&self, timeouts: Timeouts) -> Result<SdkConfig> {
        let mut loader = chain(timeouts);
        if let Some(region) = &self.region {
            loader = loader.region(Region::new(region.clone()));
        }
        if let Some(profile) = &self.profile {
            loader = loader.profile_name(profile);
        }
        let config = loader.load().await;
        // Checked before the first call, whose error would not name the cause.
        if config.region().is_none() {
            return Err(
                Usage::new("no AWS region is set: pass --region, or set AWS_REGION or the profile's region").into()
            );
        }
        let provider = config.credentials_provider();
        let provider = provider.context("no AWS credentials are set up")?;
        provider.provide_credentials().await.map_err(Error::from).context(
            "cannot load AWS credentials: log in (`aws sso login`, `aws configure`), name a profile with --profile, \
             or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        )?;
        Ok(config)
    }
}

impl Connection {
    /// What went wrong in reading, and what to do.
    pub(crate) fn unreadable(&self, error: ReadError) -> Error {
        match error {
            ReadError::Call(error) => self.failed(&error),
            error => anyhow!(error)
                .context("a record cannot be read: something else has changed the table, or it needs a later version"),
        }
    }

    /// What went wrong in writing, and what to do.
    pub(crate) fn unwritten(&self, error: LedgerError) -> Error {
        match error {
            LedgerError::Call(error) => self.failed(&error),
            error @ (LedgerError::TooLarge | LedgerError::CircuitOpen) => error.into(),
        }
    }

    /// What went wrong with a call, and what to do.
    pub(crate) fn failed(&self, error: &CallError) -> Error {
        let table = self.ledger.table();
        match error {
            CallError::Rejected(code) if code == "ResourceNotFoundException" => {
                anyhow!("there is no table \"{table}\" {}: check --table, --region and the profile", self.place)
            }
            error => self.place.failed("DynamoDB", error),
        }
    }
}

impl Place {
    /// Its address, where it is not AWS's own.
    pub(crate) fn endpoint(&self) -> Option<&str> {
        self.endpoint.as_deref()
    }

    /// What went wrong with a call, and what to do.
    pub(crate) fn failed(&self, service: &str, error: &CallError) -> Error {
        match error {
            CallError::Unreachable | CallError::TimedOut => {
                let hint = if self.endpoint.is_some() { "is it running?" } else { "check the network and --region" };
                anyhow!("{service} {self} {error}: {hint}")
            }
            CallError::Rejected(code) => {
                let hint = match code.as_str() {
                    "AccessDeniedException" | "AccessDenied" => {
                        "these credentials may not do this; docs/operations.md lists what a command needs"
                    }
                    "ExpiredTokenException" | "ExpiredToken" => "the credentials have expired: log in again",
                    "UnrecognizedClientException" | "InvalidClientTokenId" | "InvalidSignatureException" => {
                        "AWS does not know these credentials: check the profile and the environment"
                    }
                    _ => "try again, or look the code up in the service's documentation",
                };
                anyhow!("{service} {self} {error}: {hint}")
            }
            CallError::NoCredentials => anyhow!("{service} {self} {error}: log in, or name a profile with --profile"),
            CallError::Throttled { .. } => anyhow!("{service} {self} {error}: try again in a minute"),
            CallError::Defect | CallError::NoTime => anyhow!("{service} {self} {error}"),
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.endpoint {
            Some(endpoint) => write!(f, "at {endpoint}"),
            None => write!(f, "in {}", self.region),
        }
    }
}

/// Whether a retry cannot succeed until the user changes something.
pub(crate) fn is_permanent(error: &ReadError) -> bool {
    match error {
        ReadError::Call(CallError::Rejected(code)) => [
            "AccessDeniedException",
            "InvalidSignatureException",
            "MissingAuthenticationTokenException",
            "ResourceNotFoundException",
            "UnrecognizedClientException",
            "ValidationException",
        ]
        .contains(&code.as_str()),
        ReadError::Call(_) => false,
        ReadError::Item(_) | ReadError::MissingPart | ReadError::Damaged => true,
    }
}

/// A variable of the environment; an empty one is an absent one.
pub(crate) fn variable(name: &str) -> Option<String> {
    env::var(name).ok().map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}

fn is_url(text: &str) -> bool {
    text.parse::<http::Uri>().is_ok_and(|url| ["http", "https"].contains(&url.scheme_str().unwrap_or_default()))
}

/// Whether a URL is one of this machine.
pub(crate) fn is_local(url: &str) -> bool {
    let Some(url) = url.parse::<http::Uri>().ok().filter(|_| is_url(url)) else { return false };
    let host = url.host().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::is_local;

    #[test]
    fn this_machine_is_known_by_its_address() {
        for url in ["http://127.0.0.1:8000", "http://localhost:8000/", "http://[::1]:8000", "https://127.1.2.3"] {
            assert!(is_local(url), "{url}");
        }
        for url in [
            "http://10.0.0.1:8000",
            "http://localhost.example.com",
            "https://dynamodb.us-east-1.amazonaws.com",
            "127.0.0.1:1",
            "",
        ] {
            assert!(!is_local(url), "{url}");
        }
    }
}
