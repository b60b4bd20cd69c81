//! A callback's HTTP request, independent of the cloud provider: what verifying and parsing work on.
//!
//! `Request`, `Query`, `Headers` and `Verified` do not implement `Debug`: they hold credentials, signatures and user ids.

use std::borrow::Cow;
use std::time::Instant;

use bytes::Bytes;

use crate::domain::timestamp::Timestamp;

/// The largest body that is decoded: 1 MiB. A dismissed group of 6,000 members is a third of it.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;

/// What the host knows of a request's receipt: an extension of [`http::Request`].
#[derive(Clone, Debug)]
pub struct Received {
    /// When the request was received.
    pub at: Timestamp,
    /// The host's id of this request; empty where it has none.
    pub request_id: String,
    /// The id that whoever sent it gave the request (`X-Request-Id`), for the log alone: nobody vouches for it.
    pub caller_request_id: Option<String>,
    /// When the host ends what is not answered.
    pub deadline: Deadline,
}

/// When the host ends what is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deadline {
    /// Never.
    None,
    /// At this instant.
    At(Instant),
    /// There is no time for any store, only for the log.
    Passed,
}

/// One request of a sender, as verifying and decoding read it.
pub struct Request<'a> {
    /// The method, in capitals.
    pub method: Cow<'a, str>,
    /// The path, not decoded.
    pub path: Cow<'a, str>,
    /// The query.
    pub query: Query<'a>,
    /// The headers.
    pub headers: Headers<'a>,
    /// The body, as it was on the wire, however large.
    pub body: Cow<'a, [u8]>,
    /// When the request reached the receiver.
    pub received_at: Timestamp,
    /// The receiver's id of this request; empty where it has none.
    pub request_id: Cow<'a, str>,
}

impl<'a> Request<'a> {
    /// What a request holds, received `now` where its extensions do not say. A header is text whatever its bytes: the id of
    /// an operation may be Chinese.
    #[must_use]
    pub fn of(request: &'a http::Request<Bytes>, now: Timestamp) -> Self {
        let received = request.extensions().get::<Received>();
        let headers = request.headers().iter();
        Self {
            method: Cow::Borrowed(request.method().as_str()),
            path: Cow::Borrowed(request.uri().path()),
            query: Query::parse(request.uri().query().unwrap_or_default()),
            headers: headers
                .map(|(name, value)| (Cow::Borrowed(name.as_str()), String::from_utf8_lossy(value.as_bytes())))
                .collect(),
            body: Cow::Borrowed(request.body()),
            received_at: received.map_or(now, |received| received.at),
            request_id: Cow::Borrowed(received.map_or("", |received| &received.request_id)),
        }
    }
}

impl Request<'_> {
    /// The path's last segment that is not empty.
    #[must_use]
    pub fn last_segment(&self) -> Option<&str> {
        self.path.rsplit('/').find(|segment| !segment.is_empty())
    }
}

/// A query's parameters, decoded, in their order.
pub struct Query<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Query<'a> {
    /// Reads a query string (without the `?`).
    #[must_use]
    pub fn parse(query: &'a str) -> Self {
        Self(form_urlencoded::parse(query.as_bytes()).collect())
    }

    /// The first value of `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_ref())
    }

    /// Whether one of `names` is repeated: two readers could see two different values.
    #[must_use]
    pub fn repeats(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.0.iter().filter(|(key, _)| key == name).nth(1).is_some())
    }
}

/// A request's headers.
pub struct Headers<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl Headers<'_> {
    /// The value of `name`, whatever the case of its letters.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_ref())
    }
}

impl<'a> FromIterator<(Cow<'a, str>, Cow<'a, str>)> for Headers<'a> {
    fn from_iter<T: IntoIterator<Item = (Cow<'a, str>, Cow<'a, str>)>>(headers: T) -> Self {
        Self(headers.into_iter().collect())
    }
}

/// A request that its platform has vouched for. Only such a request is decoded.
#[derive(Clone, Copy)]
pub struct Verified<'r, 'a>(&'r Request<'a>);

impl<'r, 'a> Verified<'r, 'a> {
    /// For a platform's `verify`, and for nothing else: what it returns is taken for genuine. A test holds the code to that.
    #[must_use]
    pub fn vouch(request: &'r Request<'a>) -> Self {
        Self(request)
    }

    /// The request.
    #[must_use]
    pub fn request(self) -> &'r Request<'a> {
        self.0
    }
}
