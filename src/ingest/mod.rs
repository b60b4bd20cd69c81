//! The way of a callback: verify, decode, record, store, respond, within the time that its sender waits. Knows the domain, the
//! platforms and the store; no host.

pub mod handler;
pub mod receive;
pub mod replay;
pub mod reprocess;
