//! What runs the rest: Lambda functions, the HTTP server, AWS clients, the log, metrics. Knows every other module; none knows it.

pub mod aws;
pub mod lambda;
pub mod logging;
pub mod metrics;
#[cfg(feature = "server")]
pub mod server;
pub mod setup;
