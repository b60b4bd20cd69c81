//! What the ledger is about: requests, callbacks, changes, records, rejections, points in time and the time that a callback
//! has. Knows no other room: no platform, no AWS, no clock but [`timestamp::Timestamp::now`].

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
