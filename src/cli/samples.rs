//! Sample callbacks: those of `events/`, which an installed program has with it, or files of that form.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use crate::platform::{self, Registration};

/// The headers of an event that API Gateway adds, or that are of one connection.
const NOT_THE_SENDERS: [&str; 7] = [
    "accept-encoding",
    "content-length",
    "host",
    "x-amzn-trace-id",
    "x-forwarded-for",
    "x-forwarded-port",
    "x-forwarded-proto",
];

/// `events/`, by name.
const EVENTS: [(&str, &str); 9] = [
    ("openim-set-group-info-ex", include_str!("../../events/openim-set-group-info-ex.json")),
    ("openim-set-group-info-ex-documented", include_str!("../../events/openim-set-group-info-ex-documented.json")),
    ("tencent-chat-base64", include_str!("../../events/tencent-chat-base64.json")),
    ("tencent-chat-change-group-owner", include_str!("../../events/tencent-chat-change-group-owner.json")),
    ("tencent-chat-create-group", include_str!("../../events/tencent-chat-create-group.json")),
    ("tencent-chat-forged", include_str!("../../events/tencent-chat-forged.json")),
    ("tencent-chat-group-attr-changed", include_str!("../../events/tencent-chat-group-attr-changed.json")),
    ("tencent-chat-group-info-changed", include_str!("../../events/tencent-chat-group-info-changed.json")),
    ("tencent-chat-signed", include_str!("../../events/tencent-chat-signed.json")),
];

/// A callback as its sender makes it, but for its time and its signature.
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) platform: &'static Registration,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Sample {
    /// Those of `events/`, in the order of their names; without the forged ones, which are no sender's.
    pub(crate) fn all() -> Result<Vec<Self>> {
        let genuine = EVENTS.into_iter().filter(|(name, _)| !name.ends_with("-forged"));
        genuine.map(|(name, event)| Self::of_event(name, event)).collect()
    }

    /// That of a file; else that of `events/` with this name.
    pub(crate) fn find(file: &Path) -> Result<Self> {
        let known = EVENTS.into_iter().find(|(name, _)| file.as_os_str() == *name && !file.exists());
        if let Some((name, event)) = known {
            return Self::of_event(name, event);
        }
        let names = || EVENTS.map(|(name, _)| name).join(", ");
        let event = fs::read_to_string(file);
        let event =
            event.with_context(|| format!("cannot read {}; samples without a file are {}", file.display(), names()))?;
        Self::of_event(&file.display().to_string(), &event)
    }

    /// That of an event as API Gateway tells it.
    fn of_event(name: &str, event: &str) -> Result<Self> {
        let event: Value = serde_json::from_str(event).with_context(|| format!("{name} is not JSON"))?;
        let text = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default();
        let family = text("rawPath").split('/').nth(1).unwrap_or_default();
        let platform = platform::find(family);
        let platform = platform.with_context(|| format!("{name} is no sample event"))?;
        let body = if event.get("isBase64Encoded") == Some(&Value::Bool(true)) {
            BASE64_STANDARD.decode(text("body")).with_context(|| format!("{name} has a broken body"))?
        } else {
            text("body").as_bytes().to_vec()
        };
        let headers = event.get("headers").and_then(Value::as_object).into_iter().flatten();
        let headers = headers.filter(|(name, _)| !NOT_THE_SENDERS.contains(&name.as_str()));
        let headers = headers.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()));
        Ok(Self {
            name: name.to_owned(),
            platform,
            path: text("rawPath").to_owned(),
            query: text("rawQueryString").to_owned(),
            headers: headers.collect(),
            body,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{EVENTS, Sample};

    #[test]
    fn every_event_is_among_the_samples() {
        let mut names: Vec<String> = fs::read_dir("events")
            .unwrap()
            .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
            .collect();
        names.sort();
        assert_eq!(EVENTS.map(|(name, _)| name).to_vec(), names);
        assert_eq!(Sample::all().unwrap().len(), names.len() - 1);
    }
}
