//! The chat platforms. Each is one folder that says how its callbacks are verified, parsed, decoded and answered. To add one, add a
//! folder and an entry in [`PLATFORMS`]; see `docs/adding-a-platform.md`.

use std::fmt::Debug;
use std::time::Duration;

use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};

use crate::domain::callback::Callback;
use crate::domain::change::GroupChange;
use crate::domain::quarantine::Undecodable;
use crate::domain::rejection::Rejection;
use crate::domain::request::{Request, Verified};
use crate::domain::timestamp::Timestamp;
use crate::platform::command::Command;
use crate::settings::{SettingError, Settings};

pub mod command;
pub mod openim;
pub mod tencent_chat;

/// Every platform: what tools, the local stack, fuzzing and tests run over.
pub static PLATFORMS: [&Registration; 2] = [&tencent_chat::REGISTRATION, &openim::REGISTRATION];

/// The platform with this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Registration> {
    PLATFORMS.into_iter().find(|platform| platform.name == name)
}

/// A family of callbacks: what shares one URL, one way to verify and one form of answer.
///
/// A request goes through [`verify`](Self::verify), [`parse`](Self::parse), [`decode`](Self::decode) and
/// [`respond`](Self::respond), in this order.
pub trait Platform: Debug + Send + Sync {
    /// What is known of it without settings.
    fn registration(&self) -> &'static Registration;

    /// The record's `platform`, the function's name and its route.
    fn name(&self) -> &'static str {
        self.registration().name
    }

    /// The record's `app_id`.
    fn app_id(&self) -> &str;

    /// How long the sender waits for an answer.
    fn sender_timeout(&self) -> Duration;

    /// Whether the sender retries after a timeout, which is the only time it does.
    fn retries_after_timeout(&self) -> bool;

    /// The command that a request's URL names, whether the request is genuine or not.
    fn url_command<'r>(&self, request: &'r Request<'_>) -> Option<&'r str>;

    /// Checks that the request is genuine and for this app. Compares secrets in constant time.
    ///
    /// # Errors
    ///
    /// If it is not genuine, or for another app.
    fn verify<'r, 'a>(&self, request: &'r Request<'a>) -> Result<Verified<'r, 'a>, Rejection>;

    /// Whether a rejected request names our app or user.
    fn is_known_caller(&self, request: &Request<'_>) -> bool;

    /// Takes out of the request what decoding needs. Does not read the body.
    fn parse<'r>(&self, request: Verified<'r, '_>) -> Callback<'r>;

    /// Whether callbacks of a command are recorded, or kept where they are not understood: never those of messages.
    fn records(&self, command: &str) -> bool;

    /// Reads what changed. Pure: no clock, no environment.
    ///
    /// # Errors
    ///
    /// If the callback is none of this family.
    fn decode<'c>(&self, callback: &'c Callback<'_>) -> Result<Decoded<'c>, Undecodable<'c>> {
        (self.registration().decode)(callback)
    }

    /// The answer: success, or the rejection in the platform's words; [`answer`] makes one of a body.
    ///
    /// Sees the request whatever became of it, unverified ones included, because an answer can change what the sender is
    /// about to do; `None` where what invoked the function is no request. Total: answers whatever the request holds.
    fn respond(&self, request: Option<&Request<'_>>, outcome: Result<(), Rejection>) -> Response<String>;
}

/// What a callback turned out to be.
pub enum Decoded<'c> {
    /// A change of a group.
    Change(GroupChange<'c>),
    /// Nothing that is recorded: its command, as the callback spells it.
    Ignored(std::borrow::Cow<'c, str>),
}

/// What is known of a platform without its settings.
#[derive(Debug)]
pub struct Registration {
    /// [`Platform::name`]
    pub name: &'static str,
    /// Whether a command may follow the URL's path, `/{name}`, as one more segment.
    pub command_in_path: bool,
    /// Makes the platform of its settings.
    pub from_settings: fn(&Settings<'_>) -> Result<Box<dyn Platform>, SettingError>,
    /// [`Platform::decode`], which needs no settings.
    pub decode: for<'c> fn(&'c Callback<'_>) -> Result<Decoded<'c>, Undecodable<'c>>,
    /// The app that the settings name; `None` where they name none.
    pub app_id: fn(&Settings<'_>) -> Option<String>,
    /// The recorded commands.
    pub commands: &'static [Command],
    /// The rejections that only this platform has.
    pub rejections: &'static [Rejection],
    /// The names of its settings. The platform is configured where any of them is set.
    pub settings: &'static [&'static str],
    /// The setting that, where it is `true`, takes anybody's callbacks while there are no secrets.
    pub allow_anybody: &'static str,
    /// The setting whose secrets, separated by commas, say who may call.
    pub secrets: &'static str,
    /// The app that the local stack, samples and tests use: settings that tell apps apart, with their values.
    pub sample_app: &'static [(&'static str, &'static str)],
    /// What its records can prove.
    pub evidence: Evidence,
    /// Plays the sender.
    pub sender: Sender,
}

/// What a platform's records can prove: how far their order is that of the events, and whose members are all told.
#[derive(Debug)]
pub struct Evidence {
    /// How far apart two records of a group can be and still be in the wrong order.
    pub window: Duration,
    /// The group types whose every joining and leaving has a callback.
    pub types_with_all_members: &'static [&'static str],
}

/// Plays a platform's sender, for tools and tests: makes a sample what the app of `settings` would send at a time, signed with
/// the first of the live secrets.
pub type Sender = fn(&mut http::Request<Vec<u8>>, &Settings<'_>, Timestamp);

/// An answer with a body of JSON.
#[must_use]
pub fn answer(body: String, outcome: Result<(), Rejection>) -> Response<String> {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if outcome == Err(Rejection::NOT_POST) {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
    }
    *response.status_mut() = outcome.err().map_or(StatusCode::OK, Rejection::status);
    response
}
