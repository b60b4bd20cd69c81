//! The way of a callback: verify, decode, record, store, within the time that its sender waits. Knows the domain, the
//! platforms and the store; no host.

pub mod receive;
pub mod replay;
pub mod reprocess;
