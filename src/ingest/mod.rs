//! The way of a callback: verify, parse, decode, store, respond, within the time that its sender waits; replay writes what
//! the table did not take at first, and reprocessing decodes again what was not understood. Knows the domain, the platforms and the store; no host.

pub mod handler;
pub mod read;
pub mod receive;
pub mod replay;
pub mod reprocess;
