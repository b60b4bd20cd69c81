//! An entry of the feed, as `follow` and `publish` read it.

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::domain::timestamp::Timestamp;

/// The fields that these commands need.
#[derive(Deserialize)]
pub(crate) struct Entry {
    pub(crate) group_key: String,
    pub(crate) change_key: String,
    pub(crate) recorded_at: Timestamp,
}

impl Entry {
    /// Reads a row of a page.
    pub(crate) fn read(row: &str) -> Result<Self> {
        serde_json::from_str(row).context("an entry of the feed cannot be read: this is a defect")
    }

    pub(crate) fn keys(&self) -> (&str, &str) {
        (&self.group_key, &self.change_key)
    }
}
