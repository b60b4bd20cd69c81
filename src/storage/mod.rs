//! Stores callbacks in the table or, if that fails, in the fallback queue; each has a circuit breaker. Knows the domain and the
//! AWS SDK; neither platforms nor HTTP.
//!
//! [`store`] decides between [`ledger`] (the table) and [`fallback_queue`]. What is written is an [`envelope`]; [`item`] is its
//! form in the table. `Ledger::write_one` recognises duplicates: the condition of the write finds a taken key, then the identities
//! are compared. [`queue`] is any queue of SQS. [`read`] and [`quarantine`] are for the reader and the tools; receivers only write.

pub mod call;
pub mod circuit_breaker;
pub mod envelope;
pub mod fallback_queue;
pub mod item;
pub mod ledger;
pub mod quarantine;
pub mod queue;
pub mod read;
pub mod store;
