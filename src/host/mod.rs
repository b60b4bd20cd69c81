//! What runs the rest on AWS Lambda: events and answers, AWS clients, log and metrics. Knows every other room; none knows it.

pub mod aws;
pub mod event;
pub mod function;
mod lambda;
pub mod metrics;
pub mod replay;
