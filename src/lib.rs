//! Group Ledger: the URL that chat platforms call when a group changes.
//!
//! A callback goes one way, and no step knows a later one:
//!
//! ```text
//! API Gateway event ─► event     (bytes, query, headers, received_at; no AWS types beyond it)
//!                   ─► verify    (platform: is it genuine, is it ours?)
//!                   ─► decode    (platform: bytes -> GroupChange | Ignored)
//!                   ─► record    (key, digest, raw body)
//!                   ─► store     (ledger: one conditional PutItem; or spill: one SQS message ─► replay ─► ledger)
//!                   ─► answer    (platform: its own words)
//! ```
//!
//! A platform is one folder under [`platform`] that says how it verifies, decodes and answers. [`receive`] is the way
//! itself; [`function`] is the Lambda function around it.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic))]

pub mod aws;
pub mod breaker;
pub mod budget;
pub mod change;
pub mod envelope;
pub mod event;
pub mod function;
mod lambda;
pub mod ledger;
pub mod metrics;
pub mod platform;
pub mod quarantine;
pub mod receive;
pub mod record;
pub mod replay;
pub mod rejection;
pub mod request;
pub mod settings;
pub mod fallback_queue;
pub mod store;
pub mod timestamp;
