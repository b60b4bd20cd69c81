//! Group Ledger: the URL that chat platforms call when a group changes.
//!
//! A callback goes one way, and no step knows a later one:
//!
//! ```text
//! API Gateway event ─► lambda_http ─► http::Request
//!                   ─► verify    (is it genuine, is it ours?)             platform, constant time
//!                   ─► parse     (what of the request decoding needs)     platform ─► Callback
//!                   ─► decode    (bytes ─► GroupChange | Ignored)         platform, pure
//!                   ─► store     (one conditional PutItem; else one SQS message ─► replay ─► the same PutItem)
//!                   ─► respond   (request, outcome ─► http::Response)     platform, in its own words
//! ```
//!
//! What is genuine and not understood goes to quarantine by the same store, and is decoded again by a later version.
//!
//! A room is a folder, and knows only the rooms below it:
//!
//! | room | what it is for |
//! | --- | --- |
//! | [`host`] | what runs the rest: Lambda functions, AWS clients, log, metrics |
//! | [`reading`] | the ledger's API: history, one change, the feed, quarantine |
//! | [`ingest`] | the way itself: verify, parse, decode, store, respond, within the sender's timeout; replay |
//! | [`platform`] | one folder a platform: how it verifies, parses, decodes and answers; the list of platforms |
//! | [`storage`] | items, the table, the fallback queue, envelopes, the circuit breaker |
//! | [`domain`] | requests, callbacks, changes, records, rejections, timestamps |
//!
//! [`settings`] reads the environment for whoever asks; `panics` turns a panic into a value.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic))]

pub mod domain;
pub mod host;
pub mod ingest;
mod panics;
pub mod platform;
pub mod reading;
pub mod settings;
pub mod storage;
