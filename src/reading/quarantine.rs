//! Quarantine: what was genuine and not understood, by the day of its receipt.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::quarantine::{Undecoded, group_key};
use crate::domain::record::SORT_KEY;
use crate::domain::timestamp::Timestamp;
use crate::platform::PLATFORMS;
use crate::reading::cursor::Binding;
use crate::reading::format::json;
use crate::reading::page::{Capacity, MAX_LIMIT, MAX_PAGE_BYTES, Page};
use crate::reading::parameters::{Parameters, not_a_cursor};
use crate::reading::problem::Problem;
use crate::settings::Settings;
use crate::storage::item::{self, Item};
use crate::storage::ledger::Ledger;
use crate::storage::read::{ReadError, key_of, text_of};

/// How many items are read at a time: one may have 400 KB.
const READ_AT_A_TIME: usize = 25;

/// The apps whose callbacks are received: platform and app id.
#[derive(Clone, Debug)]
pub struct Apps(Vec<(&'static str, String)>);

impl Apps {
    /// Those that the settings name.
    #[must_use]
    pub fn from_settings(settings: &Settings<'_>) -> Self {
        let apps = PLATFORMS.into_iter().filter_map(|platform| Some((platform.name, (platform.app_id)(settings)?)));
        Self(apps.collect())
    }

    /// Each app's platform and id.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter().map(|(platform, app_id)| (*platform, app_id.as_str()))
    }
}

/// A callback that was genuine and not understood.
#[derive(Debug, Serialize, ToSchema)]
pub struct Quarantined {
    /// The platform's name.
    pub platform: String,
    /// The app's id.
    pub app_id: String,
    /// The key within the day.
    pub change_key: String,
    /// When it was received, in RFC 3339.
    #[schema(value_type = String, format = DateTime)]
    pub received_at: Timestamp,
    /// The code that its sender was told.
    pub code: u32,
    /// Why it was not understood.
    pub reason: String,
    /// Its command, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// The body, where it is a text; none while a part of it is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw: Option<String>,
    /// The body in base64, where it is no text, or one that JSON would make too long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw_base64: Option<String>,
    /// The receiver's id of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// When it may be deleted, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
}

impl Quarantined {
    fn of(change_key: String, undecoded: Undecoded<'_>, body: Option<Vec<u8>>) -> Self {
        let (raw, raw_base64) = match body.map(String::from_utf8) {
            None => (None, None),
            // As JSON it may be six times as long.
            Some(Ok(raw)) if json(&raw).len() <= MAX_PAGE_BYTES / 2 => (Some(raw), None),
            Some(Ok(raw)) => (None, Some(BASE64_STANDARD.encode(raw))),
            Some(Err(error)) => (None, Some(BASE64_STANDARD.encode(error.as_bytes()))),
        };
        let request_id = undecoded.callback.request_id.into_owned();
        Self {
            platform: undecoded.platform.into_owned(),
            app_id: undecoded.app_id.into_owned(),
            change_key,
            received_at: undecoded.callback.received_at,
            code: undecoded.code,
            reason: undecoded.reason.into_owned(),
            command: undecoded.command.map(std::borrow::Cow::into_owned),
            raw,
            raw_base64,
            request_id: (!request_id.is_empty()).then_some(request_id),
            expires_at: undecoded.expires_at,
        }
    }
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Query {
    /// The day's partitions, one an app.
    partitions: Vec<String>,
    binding: Binding,
    limit: usize,
    /// The partition and the key that were read last.
    after: Option<(usize, String)>,
}

impl Query {
    /// Reads the parameters of quarantine.
    ///
    /// # Errors
    ///
    /// If one is wrong.
    pub fn read(parameters: &mut Parameters, apps: &Apps) -> Result<Self, Problem> {
        let must = "must be a day, as 2022-12-09.";
        let day = parameters.required("day")?;
        let time: Option<Timestamp> = format!("{day}T00:00:00Z").parse().ok();
        if time.is_none_or(|time| time.date() != day) {
            return Err(Problem::parameter("day", must));
        }
        let platform = parameters.platform()?;
        let app_id = parameters.app_id()?;
        let limit = parameters.number("limit", 100, 1, MAX_LIMIT)?;
        // An app that is no longer among the settings is found by its platform and id.
        let apps: Vec<(&str, &str)> = match (platform, &app_id) {
            (Some(platform), Some(app_id)) => vec![(platform.name, app_id.as_str())],
            (None, Some(app_id)) => PLATFORMS.iter().map(|platform| (platform.name, app_id.as_str())).collect(),
            (platform, None) => {
                let is_wanted = |name: &str| platform.is_none_or(|platform| platform.name == name);
                apps.0.iter().filter(|(name, _)| is_wanted(name)).map(|(name, id)| (*name, id.as_str())).collect()
            }
        };
        let partitions: Vec<String> = apps.iter().map(|(platform, app_id)| group_key(platform, app_id, &day)).collect();
        let binding = Binding::new("quarantine", partitions.iter().map(String::as_str));
        let after = match parameters.position("cursor", &binding)? {
            None => None,
            Some(position) => {
                let after =
                    position.split_once('#').and_then(|(number, key)| Some((number.parse().ok()?, key.to_owned())));
                Some(after.filter(|(number, _)| *number < partitions.len()).ok_or_else(|| not_a_cursor("cursor"))?)
            }
        };
        Ok(Self { partitions, binding, limit, after })
    }

    /// Reads a page.
    ///
    /// # Errors
    ///
    /// If the table cannot be read.
    pub async fn page(&self, ledger: &Ledger) -> Result<Page, ReadError> {
        let (mut room, mut rows) = (Capacity::new(self.limit), Vec::new());
        let first = self.after.as_ref().map_or(0, |(number, _)| *number);
        let mut last = self.after.clone();
        for (number, partition) in self.partitions.iter().enumerate().skip(first) {
            let own = last.as_ref().filter(|(after, key)| *after == number && !key.is_empty());
            let mut after = own.map(|(_, key)| key_of(partition, key));
            loop {
                if room.is_full() {
                    return Ok(self.cut(rows, last));
                }
                let page = ledger.partition(partition, after, room.items().min(READ_AT_A_TIME)).await?;
                for item in page.items {
                    let (key, row) = row(ledger, item).await?;
                    if !room.take(row.len()) {
                        return Ok(self.cut(rows, last));
                    }
                    rows.push(row);
                    last = Some((number, key));
                }
                after = page.after;
                if after.is_none() {
                    break;
                }
            }
        }
        Ok(Page { rows, next: None, more: false })
    }

    /// A page after which there may be more.
    fn cut(&self, rows: Vec<String>, last: Option<(usize, String)>) -> Page {
        let position = last.map_or_else(|| "0#".to_owned(), |(number, key)| format!("{number}#{key}"));
        Page { rows, next: Some(self.binding.cursor(&position)), more: true }
    }
}

/// An item's key, and what is told of it.
async fn row(ledger: &Ledger, item: Item) -> Result<(String, String), ReadError> {
    let key = text_of(&item, SORT_KEY).unwrap_or_default().to_owned();
    let quarantined = item::quarantined(item)?;
    let body = ledger.whole_body(quarantined.raw).await?;
    let quarantined = Quarantined::of(key.clone(), quarantined.undecoded, body);
    Ok((key, json(&quarantined)))
}
