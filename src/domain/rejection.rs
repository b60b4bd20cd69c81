//! Why a callback is not answered as success.

use std::fmt;

use http::StatusCode;

/// Why a callback was rejected, with the status and the stable code that its sender is told.
///
/// Its text is the sentence of the answer; it never carries anything of the callback. What only one platform can say is in
/// that platform's folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejection {
    code: u32,
    sentence: &'static str,
}

impl Rejection {
    /// The body is not one JSON object in UTF-8.
    pub const NOT_JSON: Self = Self::new(40001, "The body is not a JSON object.");
    /// Neither the URL nor the body names a command.
    pub const NO_COMMAND: Self = Self::new(40002, "No callback command was given.");
    /// The URL names one command and the body another.
    pub const COMMAND_MISMATCH: Self = Self::new(40003, "The callback commands of the URL and the body disagree.");
    /// A group callback without a group id.
    pub const NO_GROUP_ID: Self = Self::new(40004, "No group id was given.");
    /// What invoked the function is no API Gateway event (payload format 2.0).
    pub const NOT_AN_EVENT: Self = Self::new(40005, "This is not an API Gateway request.");
    /// Not a POST.
    pub const NOT_POST: Self = Self::new(40501, "Only POST carries a callback.");
    /// The body is incomplete, or did not arrive in time. Only the log says so: the answer has no body.
    pub const INCOMPLETE: Self = Self::new(40801, "The body is incomplete.");
    /// The body is larger than [`MAX_BODY_BYTES`](crate::domain::request::MAX_BODY_BYTES), or than a record can hold.
    pub const TOO_LARGE: Self = Self::new(41301, "The body is too large.");
    /// The body is compressed, which no platform documents.
    pub const COMPRESSED: Self = Self::new(41501, "A compressed body is not accepted.");
    /// Reading the callback ran into a defect of this program.
    pub const DEFECT: Self = Self::new(50001, "The callback could not be read.");
    /// The record could not be written.
    pub const NOT_STORED: Self = Self::new(50301, "The callback could not be stored.");
    /// There is no room for the body among those that are being handled. Only the log says so: the answer has no body.
    pub const NO_ROOM: Self = Self::new(50302, "There are too many callbacks at a time.");

    /// The rejections of every platform, for the tests that hold documentation and answers against this list.
    pub const SHARED: [Self; 12] = [
        Self::NOT_JSON,
        Self::NO_COMMAND,
        Self::COMMAND_MISMATCH,
        Self::NO_GROUP_ID,
        Self::NOT_AN_EVENT,
        Self::NOT_POST,
        Self::INCOMPLETE,
        Self::TOO_LARGE,
        Self::COMPRESSED,
        Self::DEFECT,
        Self::NOT_STORED,
        Self::NO_ROOM,
    ];

    /// A rejection; `code` is the HTTP status and two more digits.
    ///
    /// # Panics
    ///
    /// If that is no error's status, 400 to 599. In a constant, this is a compile error.
    #[must_use]
    pub const fn new(code: u32, sentence: &'static str) -> Self {
        assert!(matches!(code / 100, 400..=599), "a rejection is answered as an error");
        Self { code, sentence }
    }

    /// The stable code.
    #[must_use]
    pub const fn code(self) -> u32 {
        self.code
    }

    /// The sentence of the answer.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        self.sentence
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(self) -> StatusCode {
        let status = u16::try_from(self.code / 100).ok().and_then(|status| StatusCode::from_u16(status).ok());
        status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// Whether it is for who calls, not for what was sent.
    #[must_use]
    pub const fn is_of_caller(self) -> bool {
        matches!(self.code / 100, 401 | 403)
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sentence)
    }
}

#[cfg(test)]
mod tests {
    use super::Rejection;

    /// The log's `reason`.
    #[test]
    fn a_rejection_is_told_by_its_sentence() {
        assert_eq!(Rejection::NO_GROUP_ID.to_string(), Rejection::NO_GROUP_ID.sentence());
        assert!(!Rejection::NO_GROUP_ID.sentence().is_empty());
    }
}
