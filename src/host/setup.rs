//! Builds a receiver, the store, the ledger, the reader and the publisher from the settings.

use std::sync::Arc;

use crate::host::aws::{self, FUNCTION_TIMEOUTS, PUBLISHER_TIMEOUTS, READER_TIMEOUTS};
use crate::ingest::receive::Receiver;
use crate::ingest::report::Observer;
use crate::platform::Registration;
use crate::publish::publisher::Publisher;
use crate::reading::api::Reader;
use crate::settings::{SettingError, Settings};
use crate::storage::fallback_queue::FallbackQueue;
use crate::storage::ledger::Ledger;
use crate::storage::store::Store;

/// A function's receiver.
///
/// # Errors
///
/// If a setting is missing or wrong.
pub fn receiver(platform: &Registration, settings: &Settings<'_>) -> Result<Receiver, SettingError> {
    receiver_over(Arc::new(store(settings)?), platform, settings, None)
}

/// A receiver over a store, which it may share with others.
///
/// # Errors
///
/// If a setting is missing or wrong.
pub fn receiver_over(
    store: Arc<Store>,
    platform: &Registration,
    settings: &Settings<'_>,
    observer: Option<Box<dyn Observer>>,
) -> Result<Receiver, SettingError> {
    Ok(Receiver::new((platform.from_settings)(settings)?, store, settings.days("RETENTION_DAYS")?, observer))
}

/// The store that the settings describe.
///
/// # Errors
///
/// If a setting is missing or wrong.
pub fn store(settings: &Settings<'_>) -> Result<Store, SettingError> {
    let config = aws::config(settings, FUNCTION_TIMEOUTS)?;
    let fallback_queue = FallbackQueue::from_settings(settings, &config)?;
    Ok(Store::new(Ledger::from_settings(settings, &config)?, fallback_queue, FUNCTION_TIMEOUTS.attempt))
}

/// The ledger that the settings describe.
///
/// # Errors
///
/// If a setting is missing or wrong.
pub fn ledger(settings: &Settings<'_>) -> Result<Ledger, SettingError> {
    Ledger::from_settings(settings, &aws::config(settings, FUNCTION_TIMEOUTS)?)
}

/// The reader that the settings describe.
///
/// # Errors
///
/// If a setting is missing or wrong.
pub fn reader(settings: &Settings<'_>) -> Result<Reader, SettingError> {
    Reader::from_settings(settings, Ledger::from_settings(settings, &aws::config(settings, READER_TIMEOUTS)?)?)
}

/// The publisher that the settings describe.
///
/// # Errors
///
/// If a setting is missing or wrong.
pub fn publisher(settings: &Settings<'_>) -> Result<Publisher, SettingError> {
    Publisher::from_settings(settings, &aws::config(settings, PUBLISHER_TIMEOUTS)?)
}
