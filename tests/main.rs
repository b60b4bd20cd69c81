//! One test binary: a module says what it holds to account.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod architecture;
mod arm64;
mod browser;
mod budgets;
mod cases;
mod chaos;
mod circuit_breaker;
mod cli;
mod commands;
mod container;
mod deployment;
mod documentation;
mod envelopes;
mod hooks;
mod hostile;
mod items;
mod ledger;
mod local;
mod properties;
mod publish;
mod quarantine;
mod reading;
mod records;
mod reliability;
mod sam;
mod scf;
mod server;
mod settings;
mod state;
mod support;
mod third_platform;

#[path = "../examples/local/bus.rs"]
mod bus;
#[path = "../examples/local/database.rs"]
mod database;
#[path = "../examples/local/event_source.rs"]
mod event_source;
#[path = "../examples/third_platform/example_chat/mod.rs"]
mod example_chat;
// The targets are built by `make fuzz` alone; this holds what they share to the present code.
#[allow(unreachable_pub, reason = "a library elsewhere")]
#[path = "../fuzz/targets/lib.rs"]
mod fuzz;
#[path = "../examples/local/listener.rs"]
mod listener;
#[path = "../examples/local/queue.rs"]
mod queue;
#[path = "../examples/local/stream_source.rs"]
mod stream_source;
#[path = "../examples/local/template.rs"]
mod template;
