//! Group Ledger: the URL that chat platforms call when a group changes.
//!
//! A callback passes these steps in order. No step depends on a later one:
//!
//! ```text
//! API Gateway event ─► lambda_http ─► http::Request    (or from a connection of `host::server`)
//!                   ─► verify    (is it genuine, is it ours?)             platform, constant time
//!                   ─► parse     (what of the request decoding needs)     platform ─► Callback
//!                   ─► decode    (bytes ─► GroupChange | Ignored)         platform, pure
//!                   ─► store     (conditional PutItem; else the fallback queue ─► replay; else the log ─► recover)
//!                   ─► respond   (request, outcome ─► http::Response)     platform, in its own words
//! ```
//!
//! A verified callback that cannot be decoded is stored in quarantine by the same store; `group-ledger reprocess` decodes it again.
//! Storing is idempotent: `storage::ledger` recognises a duplicate. `docs/reliability.md` traces a callback while DynamoDB is down.
//!
//! A module is a folder. `platform` and `storage` depend on `domain` only, beside `settings` and `panics`; `ingest` and `reading` on these
//! three, not on each other; `publish` on these and `reading`, whose form of a change it sends; `host` on all of them; `cli` on all.
//! `tests/architecture.rs` enforces this:
//!
//! | module | what it is for |
//! | --- | --- |
//! | `cli` | the command line of users and operators (feature `cli`) |
//! | [`host`] | what runs the rest: Lambda functions, the HTTP server (feature `server`), AWS clients, log, metrics |
//! | [`publish`] | records as events: the table's stream, an EventBridge bus, dead letters |
//! | [`reading`] | the ledger's API and page: history, one change, state, members, the feed, quarantine |
//! | [`ingest`] | the path itself: verify, parse, decode, store, respond, within the sender's timeout; replay |
//! | [`platform`] | one folder for each platform: how it verifies, parses, decodes and answers; the list of platforms |
//! | [`storage`] | items, the table, the fallback queue, envelopes, the circuit breaker |
//! | [`domain`] | the types: request, callback, change, record, place in the feed, quarantine, rejection, timestamp, time budget |
//!
//! [`settings`] reads environment variables. `panics` catches panics.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic))]

#[cfg(feature = "cli")]
pub mod cli;
pub mod domain;
pub mod host;
pub mod ingest;
mod panics;
pub mod platform;
pub mod publish;
pub mod reading;
pub mod settings;
pub mod storage;
