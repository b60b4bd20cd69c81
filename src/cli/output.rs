//! Output: data on standard output, whole lines at a time; everything else on standard error.

use std::env;
use std::io::{ErrorKind, Write, stderr, stdout};

use anyhow::{Error, Result};
use serde::Serialize;

/// The reader closed standard output, as `| head` does.
#[derive(Debug, thiserror::Error)]
#[error("standard output is closed")]
pub(crate) struct PipeClosed;

/// Standard output.
pub(crate) struct Output {
    color: bool,
}

/// What a text is, for its colour.
#[derive(Clone, Copy)]
pub(crate) enum Style {
    /// What matters less.
    Dim,
    /// What matters most.
    Bold,
    /// As it should be.
    Good,
    /// What is to be looked at.
    Bad,
}

impl Output {
    pub(crate) fn new(color: bool) -> Self {
        Self { color }
    }

    /// Writes lines in one write. If it fails, some may be missing.
    pub(crate) fn lines<L: AsRef<str>>(&mut self, lines: impl IntoIterator<Item = L>) -> Result<()> {
        let mut text = String::new();
        for line in lines {
            text.push_str(line.as_ref());
            text.push('\n');
        }
        self.text(&text)
    }

    /// Writes a line.
    pub(crate) fn line(&mut self, line: impl AsRef<str>) -> Result<()> {
        self.lines([line])
    }

    /// Writes an object as a line of JSON.
    pub(crate) fn json(&mut self, object: &impl Serialize) -> Result<()> {
        self.line(serde_json::to_string(object)?)
    }

    /// Writes text as it is.
    #[expect(clippy::unused_self, reason = "whoever writes has the output")]
    pub(crate) fn text(&mut self, text: &str) -> Result<()> {
        let mut stdout = stdout().lock();
        let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
        written.map_err(|error| match error.kind() {
            ErrorKind::BrokenPipe => PipeClosed.into(),
            _ => Error::from(error).context("cannot write to standard output"),
        })
    }

    /// A text in its colour, where there are colours.
    pub(crate) fn paint(&self, style: Style, text: &str) -> String {
        let code = match style {
            Style::Dim => "2",
            Style::Bold => "1",
            Style::Good => "32",
            Style::Bad => "31",
        };
        if self.color { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// Tells something on standard error.
pub(crate) fn note(text: &str) {
    // A closed standard error is ignored.
    let _ = writeln!(stderr().lock(), "{text}");
}

/// Whether the environment allows colours. <https://no-color.org>
pub(crate) fn environment_allows_color() -> bool {
    let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
    !is_set("NO_COLOR") && env::var_os("TERM").is_none_or(|term| term != "dumb")
}
