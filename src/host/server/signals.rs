//! SIGTERM and Ctrl-C.
//!
//! A thread waits for the signals: tokio's own feature for them would make Cargo compile tokio, and all that is built on it, a second
//! time.

use std::future;
use std::io;
use std::thread;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::low_level::signal_name;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// The signals that end the server.
pub(super) struct Signals(UnboundedReceiver<&'static str>);

impl Signals {
    /// Watches for them from now on.
    pub(super) fn watch() -> io::Result<Self> {
        let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])?;
        let (tell, told) = unbounded_channel();
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            for name in signals.forever().filter_map(signal_name) {
                let _ = tell.send(name);
            }
        })?;
        Ok(Self(told))
    }

    /// Waits for the next one; its name.
    pub(super) async fn next(&mut self) -> &'static str {
        match self.0.recv().await {
            Some(name) => name,
            // The thread ended without a signal.
            None => future::pending().await,
        }
    }
}
