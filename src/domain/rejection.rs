//! Why a callback is not answered as success.

use serde::{Deserialize, Serialize};

/// Why a callback was rejected, with the status and the stable code that its sender is told.
///
/// The text of a rejection is the sentence of the answer; it never carries anything of the callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, Deserialize, Serialize)]
#[serde(into = "u32", try_from = "u32")]
pub enum Rejection {
    /// The body is not one JSON object in UTF-8.
    #[error("The body is not a JSON object.")]
    NotJson,
    /// Neither the URL nor the body names a command.
    #[error("No callback command was given.")]
    NoCommand,
    /// The URL names one command and the body another.
    #[error("The callback commands of the URL and the body disagree.")]
    CommandMismatch,
    /// A group callback without a group id.
    #[error("No group id was given.")]
    NoGroupId,
    /// What invoked the function is no API Gateway event (payload format 2.0).
    #[error("This is not an API Gateway request.")]
    NotAnEvent,
    /// HTTP Basic credentials are missing or wrong.
    #[error("The credentials are missing or wrong.")]
    BadCredentials,
    /// `SdkAppid` is missing or another app's.
    #[error("SdkAppid is missing or not this app's.")]
    ForeignApp,
    /// A parameter that decides who is calling was given more than once.
    #[error("A query parameter is repeated.")]
    RepeatedParameter,
    /// `Sign` or `RequestTime` is missing or malformed.
    #[error("Sign or RequestTime is missing or malformed.")]
    NoSign,
    /// `RequestTime` is more than 60 seconds off.
    #[error("RequestTime is more than 60 seconds off.")]
    StaleSign,
    /// `Sign` was made with none of the live tokens.
    #[error("Sign is wrong.")]
    WrongSign,
    /// Not a POST.
    #[error("Only POST carries a callback.")]
    NotPost,
    /// The body is larger than [`MAX_BODY_BYTES`](crate::domain::request::MAX_BODY_BYTES), or than a record can hold.
    #[error("The body is too large.")]
    TooLarge,
    /// The body is compressed, which neither platform documents.
    #[error("A compressed body is not accepted.")]
    Compressed,
    /// Reading the callback ran into a defect of this program.
    #[error("The callback could not be read.")]
    Defect,
    /// The record could not be written.
    #[error("The callback could not be stored.")]
    NotStored,
}

impl Rejection {
    /// Every rejection, for the tests that hold documentation and answers against this list.
    pub const ALL: [Self; 16] = [
        Self::NotJson,
        Self::NoCommand,
        Self::CommandMismatch,
        Self::NoGroupId,
        Self::NotAnEvent,
        Self::BadCredentials,
        Self::ForeignApp,
        Self::RepeatedParameter,
        Self::NoSign,
        Self::StaleSign,
        Self::WrongSign,
        Self::NotPost,
        Self::TooLarge,
        Self::Compressed,
        Self::Defect,
        Self::NotStored,
    ];

    /// The stable code: the HTTP status and two more digits.
    #[must_use]
    pub const fn code(self) -> u32 {
        match self {
            Self::NotJson => 40001,
            Self::NoCommand => 40002,
            Self::CommandMismatch => 40003,
            Self::NoGroupId => 40004,
            Self::NotAnEvent => 40005,
            Self::BadCredentials => 40101,
            Self::ForeignApp => 40301,
            Self::RepeatedParameter => 40302,
            Self::NoSign => 40303,
            Self::StaleSign => 40304,
            Self::WrongSign => 40305,
            Self::NotPost => 40501,
            Self::TooLarge => 41301,
            Self::Compressed => 41501,
            Self::Defect => 50001,
            Self::NotStored => 50301,
        }
    }

    /// Whether it is for who calls, not for what was sent.
    #[must_use]
    pub const fn is_of_caller(self) -> bool {
        matches!(self.status(), 401 | 403)
    }

    /// The HTTP status.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::NotJson | Self::NoCommand | Self::CommandMismatch | Self::NoGroupId | Self::NotAnEvent => 400,
            Self::BadCredentials => 401,
            Self::ForeignApp | Self::RepeatedParameter | Self::NoSign | Self::StaleSign | Self::WrongSign => 403,
            Self::NotPost => 405,
            Self::TooLarge => 413,
            Self::Compressed => 415,
            Self::Defect => 500,
            Self::NotStored => 503,
        }
    }
}

impl From<Rejection> for u32 {
    fn from(rejection: Rejection) -> Self {
        rejection.code()
    }
}

impl TryFrom<u32> for Rejection {
    type Error = &'static str;

    fn try_from(code: u32) -> Result<Self, Self::Error> {
        Self::ALL.into_iter().find(|rejection| rejection.code() == code).ok_or("no code of a rejection")
    }
}
