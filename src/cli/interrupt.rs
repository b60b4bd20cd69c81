//! Ctrl-C: ends a command where it waits, so that every line and every file is whole.
//!
//! A thread waits for the signals, because tokio's own waiting would add a driver to every function.

use std::process;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tokio::sync::oneshot;

/// How long a command may take to reach its next await. A reader that does not drain the pipe can block it.
const GRACE: Duration = Duration::from_millis(500);

/// The signals that end a command.
pub(crate) struct Interrupts(oneshot::Receiver<i32>);

impl Interrupts {
    /// Watches for them from now on.
    pub(crate) fn watch() -> Result<Self> {
        let mut signals = Signals::new([SIGINT, SIGTERM]).context("cannot wait for Ctrl-C")?;
        let (tell, told) = oneshot::channel();
        thread::spawn(move || {
            if let Some(signal) = signals.forever().next() {
                let _ = tell.send(signal);
                thread::sleep(GRACE);
                process::exit(exit_code(signal).into());
            }
        });
        Ok(Self(told))
    }

    /// Waits for the first of them.
    pub(crate) async fn first(self) -> i32 {
        match self.0.await {
            Ok(signal) => signal,
            // The thread ended without a signal.
            Err(_) => std::future::pending().await,
        }
    }
}

/// The exit code of a process that a signal ended, as shells have it.
pub(crate) fn exit_code(signal: i32) -> u8 {
    u8::try_from(128 + signal).unwrap_or(1)
}
