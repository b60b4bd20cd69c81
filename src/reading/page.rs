//! Pages: how far one request goes.

use std::time::{Duration, Instant};

use serde::Serialize;

/// The most items that a page has.
pub const MAX_LIMIT: usize = 1_000;
/// The most that a page has, in bytes. Lambda's answer may have 6 MB, and base64 adds a third to this.
pub const MAX_PAGE_BYTES: usize = 4_000_000;

/// How long a request may look for more; what it has by then is its page.
const TIME: Duration = Duration::from_secs(5);

/// A page of a list: its items as text, and where the next one begins.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Each item in the format that was asked for.
    pub rows: Vec<String>,
    /// The cursor of what follows; `None` at the end of a list that has one.
    pub next: Option<String>,
    /// Whether there may be more now.
    pub more: bool,
}

/// What a page may still have.
#[derive(Debug)]
pub struct Capacity {
    items: usize,
    bytes: usize,
    ends: Instant,
}

impl Capacity {
    /// Capacity for `limit` items.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { items: limit, bytes: MAX_PAGE_BYTES, ends: Instant::now() + TIME }
    }

    /// How many more items there is room for.
    #[must_use]
    pub fn items(&self) -> usize {
        self.items
    }

    /// Whether there is room for nothing more, or the time is over.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.items == 0 || self.is_late()
    }

    /// Whether the time is over.
    #[must_use]
    pub fn is_late(&self) -> bool {
        Instant::now() >= self.ends
    }

    /// Takes room for an item of so many bytes; whether there was any. The first item has room whatever its size, so that
    /// a list goes on.
    pub fn take(&mut self, bytes: usize) -> bool {
        let is_first = self.bytes == MAX_PAGE_BYTES;
        if self.items == 0 || (bytes > self.bytes && !is_first) {
            self.items = 0;
            return false;
        }
        self.items -= 1;
        self.bytes = self.bytes.saturating_sub(bytes.max(1));
        true
    }
}

/// The answer's fields beside its items.
#[derive(Serialize)]
pub(crate) struct Rest<'p> {
    pub(crate) next: Option<&'p str>,
    pub(crate) more: bool,
}
