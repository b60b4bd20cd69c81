//! The chat platforms. Each is one folder that says how its callbacks are verified, decoded and answered; a further one
//! is a further folder and nothing else here but its `mod` line.

use std::borrow::Cow;
use std::time::Duration;

use crate::domain::change::GroupChange;
use crate::domain::quarantine::Undecodable;
use crate::domain::rejection::Rejection;
use crate::domain::request::{Request, Verified};
use crate::settings::{SettingError, Settings};

pub mod command;
pub mod openim;
pub mod tencent_chat;

/// A family of callbacks: what shares one URL, one way to check and one form of answer.
pub trait Platform: Sized + Send + Sync {
    /// The record's `platform`, the function's name and its route.
    const NAME: &'static str;

    /// How long the sender waits for an answer.
    const SENDER_TIMEOUT: Duration;

    /// Whether the sender retries after a timeout, which is the only time it does.
    fn retries_after_timeout(&self) -> bool;

    /// Reads this platform's settings.
    ///
    /// # Errors
    ///
    /// Where one is missing or wrong, or where nothing says who may call.
    fn from_settings(settings: &Settings<'_>) -> Result<Self, SettingError>;

    /// The record's `app_id`.
    fn app_id(&self) -> &str;

    /// The query's parameters that decoding reads.
    const PARAMETERS: &'static [&'static str];

    /// The command that the URL names.
    fn url_command<'r>(request: &'r Request<'_>) -> Option<&'r str>;

    /// Whether callbacks of a command are recorded, or kept where they are not understood: never those of messages.
    fn records(command: &str) -> bool;

    /// Checks that the request is genuine and for this app. Compares secrets in constant time.
    ///
    /// # Errors
    ///
    /// Where it is not.
    fn verify<'r, 'a>(&self, request: &'r Request<'a>) -> Result<Verified<'r, 'a>, Rejection>;

    /// Reads what changed. Pure: no clock, no environment.
    ///
    /// # Errors
    ///
    /// Where the request is no callback of this family.
    fn decode<'r>(request: Verified<'r, '_>) -> Result<Decoded<'r>, Undecodable<'r>>;

    /// Whether a rejected request names our app or user, as one of a stranger does not. Says nothing of its being genuine.
    fn is_known_caller(&self, request: &Request<'_>) -> bool;

    /// The body of the answer (JSON): success, or the rejection in the platform's words.
    ///
    /// Sees the request whatever became of it, unverified ones included, because an answer can change what the sender is
    /// about to do; `None` where what invoked the function is no request. Total: answers whatever the request holds.
    fn respond(request: Option<&Request<'_>>, rejection: Option<Rejection>) -> Cow<'static, str>;
}

/// What a request turned out to be.
pub enum Decoded<'r> {
    /// A change of a group.
    Change(GroupChange<'r>),
    /// Nothing that is recorded: its command, as the callback spells it.
    Ignored(Cow<'r, str>),
    /// No callback but a console's check of the URL: an empty POST without a command.
    UrlCheck,
}
