//! A genuine callback: what a platform decodes, and what quarantine keeps in order to decode it again.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::domain::base64_text;
use crate::domain::request::Request;
use crate::domain::timestamp::Timestamp;

/// What decoding needs of a request that its platform has vouched for. It holds neither secrets nor signatures, and cannot
/// be printed.
#[derive(Clone, Deserialize, Serialize)]
pub struct Callback<'r> {
    /// The command that the URL names; `None` where the URL names none.
    pub command: Option<Cow<'r, str>>,
    /// What else the platform decodes of URL and headers, under the names that its folder gives them.
    #[serde(with = "crate::domain::pairs")]
    pub parameters: Vec<(Cow<'static, str>, Cow<'r, str>)>,
    /// The body's `Content-Encoding`; `None` where the body is not compressed.
    pub content_encoding: Option<Cow<'r, str>>,
    /// The body, as received.
    #[serde(with = "base64_text", default, skip_serializing_if = "<[u8]>::is_empty")]
    pub body: Cow<'r, [u8]>,
    /// When the request reached the receiver.
    pub received_at: Timestamp,
    /// The receiver's id of the request; empty where it has none.
    pub request_id: Cow<'r, str>,
}

impl<'r> Callback<'r> {
    /// The callback of a request whose URL names `command`. Parameters that the request does not have are left out.
    #[must_use]
    pub fn new<const N: usize>(
        request: &'r Request<'_>,
        command: Option<&'r str>,
        parameters: [(&'static str, Option<&'r str>); N],
    ) -> Self {
        let parameters = parameters.into_iter();
        let is_compressed = |encoding: &&str| !encoding.eq_ignore_ascii_case("identity");
        Self {
            command: command.map(Cow::Borrowed),
            parameters: parameters.filter_map(|(name, value)| Some((name.into(), value?.into()))).collect(),
            content_encoding: request.headers.get("content-encoding").filter(is_compressed).map(Cow::Borrowed),
            body: Cow::Borrowed(&request.body),
            received_at: request.received_at,
            request_id: Cow::Borrowed(&request.request_id),
        }
    }

    /// The value of a parameter.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_ref())
    }
}
