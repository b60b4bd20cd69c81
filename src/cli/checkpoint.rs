//! Checkpoints: how far a long command came, in a file from which the same command goes on.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The checkpoint that is there; `of` continues the sentence that says what the file is none of.
pub(crate) fn read<C: DeserializeOwned>(path: &Path, of: &str) -> Result<Option<C>> {
    match fs::read(path) {
        Ok(json) => serde_json::from_slice(&json)
            .map(Some)
            .with_context(|| format!("{} is not a checkpoint of {of}", path.display())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Replaces the checkpoint atomically.
pub(crate) fn save(path: &Path, checkpoint: &impl Serialize) -> Result<()> {
    let new = beside(path, ".new");
    let save = || {
        let mut file = File::create(&new)?;
        file.write_all(&serde_json::to_vec(checkpoint)?)?;
        file.sync_data()?;
        fs::rename(&new, path)
    };
    save().with_context(|| format!("cannot write {}", path.display()))
}

/// A path with more at its end.
pub(crate) fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(end);
    name.into()
}
