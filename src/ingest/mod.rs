//! The path of a callback, within the time that its sender waits. Knows the domain, the platforms and the store; no host.
//!
//! [`handler`] answers a request; [`receive`] decides what becomes of it; [`read`] is the pure part: verify, parse, decode.
//! [`report`] logs and counts.
//! [`replay`] writes what the fallback queue holds; [`reprocess`] decodes again what was not understood.

pub mod handler;
pub mod read;
pub mod receive;
pub mod replay;
pub mod report;
pub mod reprocess;
