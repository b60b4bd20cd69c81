//! Fetches credentials in a task of its own. The SDK fetches them within an attempt of a call, whose timeout is for a table
//! nearby: a role's credentials may take longer, and each attempt would start over and time out again.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials, SharedCredentialsProvider, future};
use aws_types::SdkConfig;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How long fetching may take. Not every provider has a timeout of its own.
const FETCH_TIMEOUT: Duration = Duration::from_secs(30);

/// The same configuration, whose credentials are fetched to the end even where nobody waits any more.
pub(super) fn in_the_background(config: SdkConfig) -> SdkConfig {
    let Some(provider) = config.credentials_provider() else { return config };
    let provider = SharedCredentialsProvider::new(InTheBackground { provider, fetching: Mutex::default() });
    config.into_builder().credentials_provider(provider).build()
}

#[derive(Debug)]
struct InTheBackground {
    provider: SharedCredentialsProvider,
    /// What is being fetched, or was and nobody took it.
    fetching: Mutex<Option<JoinHandle<provider::Result>>>,
}

impl InTheBackground {
    async fn fetch(&self) -> provider::Result {
        let mut fetching = self.fetching.lock().await;
        let task = fetching.get_or_insert_with(|| {
            let provider = self.provider.clone();
            tokio::spawn(async move {
                let fetched = timeout(FETCH_TIMEOUT, provider.provide_credentials()).await;
                fetched.unwrap_or(Err(CredentialsError::provider_timed_out(FETCH_TIMEOUT)))
            })
        });
        // Whoever stops waiting here leaves the task to the next one.
        let fetched = task.await;
        *fetching = None;
        fetched.unwrap_or_else(|error| Err(CredentialsError::unhandled(error)))
    }
}

impl ProvideCredentials for InTheBackground {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            let fetched = self.fetch().await?;
            // What nobody took may have expired since.
            if fetched.expiry().is_some_and(|expiry| expiry <= SystemTime::now()) {
                self.fetch().await
            } else {
                Ok(fetched)
            }
        })
    }

    fn fallback_on_interrupt(&self) -> Option<Credentials> {
        self.provider.fallback_on_interrupt()
    }
}
