//! Where a callback is stored: the table, or the fallback queue while that does not take it, with a circuit breaker between.
//! Knows the domain and the AWS SDK; neither platforms nor HTTP.

pub mod call;
pub mod circuit_breaker;
pub mod envelope;
pub mod fallback_queue;
pub mod item;
pub mod ledger;
pub mod quarantine;
pub mod store;
