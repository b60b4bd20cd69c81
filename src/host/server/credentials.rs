//! Fetches credentials in a task of its own. The SDK fetches them within an attempt of a call, whose time-out is for a table
//! nearby: a role's credentials may take longer, and would be asked for in vain at every attempt.

use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials, SharedCredentialsProvider, future};
use aws_types::SdkConfig;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

/// The same configuration, whose credentials are fetched to the end even where nobody waits any more.
pub(super) fn in_the_background(config: SdkConfig) -> SdkConfig {
    let Some(provider) = config.credentials_provider() else { return config };
    let provider = SharedCredentialsProvider::new(InTheBackground { provider, fetching: Mutex::default() });
    config.into_builder().credentials_provider(provider).build()
}

#[derive(Debug)]
struct InTheBackground {
    provider: SharedCredentialsProvider,
    /// What is fetched, or has been and was not taken.
    fetching: Mutex<Option<JoinHandle<provider::Result>>>,
}

impl ProvideCredentials for InTheBackground {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            let mut fetching = self.fetching.lock().await;
            let task = fetching.get_or_insert_with(|| {
                let provider = self.provider.clone();
                tokio::spawn(async move { provider.provide_credentials().await })
            });
            // Whoever stops waiting here leaves the task to the next one.
            let fetched = task.await;
            *fetching = None;
            fetched.unwrap_or_else(|error| Err(CredentialsError::unhandled(error)))
        })
    }
}
