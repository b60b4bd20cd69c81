//! Reading the ledger: the history of a group and its state, one change, the feed of all groups, quarantine. Read only.
//!
//! [`api`] is the HTTP API; [`history`], [`feed`] and [`quarantine`] are the lists behind it, a [`page`] at a time;
//! [`state`] folds a history;
//! `web` is the page for people;
//! [`change`] is how a record is told, in the [formats](mod@format) that a client may ask for. Knows the domain, the platforms (to decode
//! again what no item could hold) and the table; neither Lambda nor how callbacks are received.

pub mod api;
pub mod change;
pub mod cursor;
pub mod feed;
pub mod format;
pub mod group_key;
pub mod history;
pub mod openapi;
pub mod page;
pub mod parameters;
pub mod problem;
pub mod quarantine;
pub mod records;
pub mod state;
pub mod tokens;
mod web;
