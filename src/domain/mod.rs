//! The domain's types: request, callback, change, record, place in the feed, quarantine, rejection, timestamp, time budget. Depends on
//! no other module: no platform, no AWS, no clock but [`timestamp::Timestamp::now`].

pub(crate) mod base64_text;
pub mod callback;
pub mod change;
pub mod feed;
pub(crate) mod pairs;
pub mod quarantine;
pub mod record;
pub mod rejection;
pub mod request;
pub mod time_budget;
pub mod timestamp;
