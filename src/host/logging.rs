//! The log: lines of JSON on standard output, from where Lambda takes them to CloudWatch.

use std::panic::{self, PanicHookInfo};

use tracing::error;

/// Starts the log. A panic is logged with its location only: its message could contain callback data.
pub fn start() {
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_target(false)
        .with_max_level(tracing::Level::INFO)
        .init();
    panic::set_hook(Box::new(|info: &PanicHookInfo<'_>| {
        error!(location = info.location().map(ToString::to_string), "panic");
    }));
}
