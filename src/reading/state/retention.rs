//! Detects where retention may have deleted records: their absence proves nothing.

use crate::domain::timestamp::Timestamp;
use crate::reading::state::group::Event;

/// What retention may have deleted.
#[derive(Debug, Default)]
pub(super) struct Retention {
    /// Whether a record has expired.
    pub(super) has_expired: bool,
    /// When the record before was received.
    last: Option<Timestamp>,
}

impl Retention {
    /// Whether it may have deleted records between the one before and this one: by this one's retention, the one before would be
    /// gone itself.
    pub(super) fn may_have_deleted_before(&mut self, event: &Event, now: Timestamp) -> bool {
        let last = self.last.replace(event.received_at);
        let Some((expires_at, last)) = event.expires_at.zip(last) else { return false };
        let kept_since = now.unix_seconds() - (expires_at - event.received_at.unix_seconds());
        last.unix_seconds() < kept_since
    }
}
