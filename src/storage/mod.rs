//! Where a callback is stored: the table, or the fallback queue while the table does not take it, with a circuit breaker
//! between. Knows the domain and the AWS SDK; neither platforms nor HTTP.
//!
//! [`store`] decides between [`ledger`] (the table) and [`fallback_queue`]. What is written is an [`envelope`]; [`item`] is its
//! form in the table. A duplicate is recognised in [`ledger`], by the condition of the write.

pub mod call;
pub mod circuit_breaker;
pub mod envelope;
pub mod fallback_queue;
pub mod item;
pub mod ledger;
pub mod quarantine;
pub mod read;
pub mod store;
