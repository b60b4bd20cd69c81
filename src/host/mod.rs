//! What runs the rest: Lambda functions, AWS clients, the log, metrics. Knows every other room; none knows it.

pub mod aws;
pub mod lambda;
pub mod logging;
pub mod metrics;
pub mod setup;
