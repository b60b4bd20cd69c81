//! Group Ledger: the URL that chat platforms call when a group changes.
//!
//! A callback goes one way, and no step knows a later one:
//!
//! ```text
//! API Gateway event ─► request   (host: bytes, query, headers, received_at; no AWS types beyond it)
//!                   ─► verify    (platform: is it genuine, is it ours?)
//!                   ─► decode    (platform: bytes -> GroupChange | Ignored)
//!                   ─► record    (domain: key, digest, raw body)
//!                   ─► store     (storage: one conditional PutItem; or one SQS message ─► replay ─► the same PutItem)
//!                   ─► respond   (platform: its own words)
//! ```
//!
//! A room is a folder, and knows only the rooms below it:
//!
//! | room | what it is for |
//! | --- | --- |
//! | [`host`] | Lambda: events, AWS clients, log, metrics |
//! | [`ingest`] | the way itself: verify, decode, record, store; replay and reprocessing |
//! | [`platform`] | one folder a platform: how it verifies, decodes and answers |
//! | [`storage`] | the table, the fallback queue, the circuit breaker |
//! | [`domain`] | requests, changes, records, rejections, timestamps |
//!
//! [`settings`] reads the environment for whoever asks; `panics` turns a panic into a value.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic))]

pub mod domain;
pub mod host;
pub mod ingest;
mod panics;
pub mod platform;
pub mod settings;
pub mod storage;
