//! What decoding has in common: a table of commands, and how their fields are read out of a body.
//!
//! A platform lists its commands as [`Command`] rows, each with the fields of that callback as [`Field`] rows; adding a
//! command is adding a row. What a row does not name stays in the record's raw body. Nothing here knows a platform.

use std::borrow::Cow;

use serde_json_borrow::Value;

use crate::domain::change::{Detail, Kind};
use crate::domain::quarantine::Undecodable;
use crate::domain::rejection::Rejection;
use crate::domain::timestamp::Timestamp;

/// A recorded command: its spellings, what it means and which fields its callback has.
#[derive(Debug)]
pub struct Command {
    /// The canonical spelling.
    pub name: &'static str,
    /// Other spellings of the same event.
    pub aliases: &'static [&'static str],
    /// What happened.
    pub kind: Kind,
    /// The field that says when, in milliseconds since 1970, where the callback has one.
    pub time: Option<&'static str>,
    /// The fields that say what changed.
    pub fields: &'static [Field],
}

/// One field of a callback: its name on the wire, its neutral name and how it is read.
#[derive(Debug)]
pub struct Field {
    wire: &'static str,
    name: &'static str,
    read: Read,
}

/// Reads one value; `None` where it says nothing (null, or a type the field cannot have).
pub type Read = for<'a> fn(Value<'a>) -> Option<Detail<'a>>;

impl Field {
    /// The field that is `wire` in the callback and `name` in the record.
    #[must_use]
    pub const fn new(wire: &'static str, name: &'static str, read: Read) -> Self {
        Self { wire, name, read }
    }

    /// Its name in the record.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }
}

impl Command {
    /// Takes out of `body` when it happened, where it says so plausibly.
    #[must_use]
    pub fn occurred_at(&self, body: &mut Body<'_>) -> Option<Timestamp> {
        time_millis(&body.take(self.time?)?)
    }

    /// Takes out of `body` what changed.
    #[must_use]
    pub fn details<'a>(&self, body: &mut Body<'a>) -> Vec<(Cow<'static, str>, Detail<'a>)> {
        let mut details: Vec<(Cow<'static, str>, Detail<'a>)> = Vec::with_capacity(self.fields.len());
        for field in self.fields {
            // Of two rows for one detail, which are two spellings of one field, the first that says something counts.
            let is_told = details.iter().any(|(name, _)| *name == field.name);
            if let Some(detail) = body.take(field.wire).filter(|_| !is_told).and_then(field.read) {
                details.push((Cow::Borrowed(field.name), detail));
            }
        }
        details
    }
}

/// The fields of a callback's body.
pub struct Body<'a> {
    fields: Vec<(Cow<'a, str>, Value<'a>)>,
    /// The fields of a nested object, for what is not in the body itself.
    nested: Vec<(Cow<'a, str>, Value<'a>)>,
}

impl<'a> Body<'a> {
    /// Reads a body: one JSON object in UTF-8, with or without a byte order mark, nested at most 127 deep.
    ///
    /// # Errors
    ///
    /// [`Rejection::NOT_JSON`]
    pub fn parse(body: &'a [u8]) -> Result<Self, Rejection> {
        let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
        match serde_json::from_slice(body) {
            Ok(Value::Object(fields)) => Ok(Self { fields: fields.into_vec(), nested: Vec::new() }),
            _ => Err(Rejection::NOT_JSON),
        }
    }

    /// Takes the value of `name` away, from the body or else from the nested object; of a repeated name the last one, as
    /// the platforms' own JSON readers do.
    pub fn take(&mut self, name: &str) -> Option<Value<'a>> {
        let Self { fields, nested } = self;
        [fields, nested].into_iter().find_map(|fields| {
            let at = fields.iter().rposition(|(key, _)| key == name)?;
            Some(fields.remove(at).1)
        })
    }

    /// Whether `name` is there and null.
    #[must_use]
    pub fn is_null(&self, name: &str) -> bool {
        self.fields.iter().chain(&self.nested).any(|(key, value)| key == name && value.is_null())
    }

    /// Reads the fields of the object `name` as the body's own where the body does not have them.
    pub fn flatten(&mut self, name: &str) {
        if let Some(Value::Object(fields)) = self.take(name) {
            self.nested = fields.into_vec();
        }
    }
}

/// The command that URL and body name, where they agree to the letter.
///
/// # Errors
///
/// [`Rejection::COMMAND_MISMATCH`] where they do not, and [`Rejection::NO_COMMAND`] where neither names one.
pub fn agreed<'c>(url: Option<&'c str>, body: Option<Cow<'c, str>>) -> Result<Cow<'c, str>, Undecodable<'c>> {
    match (url, body.filter(|command| !command.is_empty())) {
        (Some(url), Some(body)) if url != body => {
            Err(Undecodable { rejection: Rejection::COMMAND_MISMATCH, command: Some(body) })
        }
        (_, Some(command)) => Ok(command),
        (Some(command), None) => Ok(Cow::Borrowed(command)),
        (None, None) => Err(Rejection::NO_COMMAND.into()),
    }
}

/// A text.
#[must_use]
pub fn text(value: Value<'_>) -> Option<Detail<'_>> {
    string(value).map(Detail::Text)
}

/// An id of a group or a user: a text, or an integer taken as its digits.
#[must_use]
pub fn id(value: Value<'_>) -> Option<Cow<'_, str>> {
    match value {
        Value::Str(text) => Some(text),
        Value::Number(_) if !value.is_f64() => Some(Cow::Owned(value.to_string())),
        _ => None,
    }
}

/// A user's id as a detail.
#[must_use]
pub fn user(value: Value<'_>) -> Option<Detail<'_>> {
    id(value).map(Detail::Text)
}

/// The string that `value` is.
#[must_use]
pub fn string(value: Value<'_>) -> Option<Cow<'_, str>> {
    match value {
        Value::Str(text) => Some(text),
        _ => None,
    }
}

/// The array that `value` is. Null is none: Go writes a list that was never filled as null, which says nothing of its
/// members.
#[must_use]
pub fn list(value: Value<'_>) -> Option<Vec<Value<'_>>> {
    match value {
        Value::Array(items) => Some(items),
        _ => None,
    }
}

/// Ids of users or topics, in a list or one by itself.
#[must_use]
pub fn ids(value: Value<'_>) -> Option<Detail<'_>> {
    match value {
        Value::Str(_) | Value::Number(_) => Some(Detail::Ids(vec![id(value)?])),
        value => readable(list(value)?, id),
    }
}

/// The ids that `read` finds in a list's items. Nothing, where there are items and none can be read: an empty list would
/// say that there is nobody.
#[must_use]
pub fn readable<'a>(items: Vec<Value<'a>>, read: impl Fn(Value<'a>) -> Option<Cow<'a, str>>) -> Option<Detail<'a>> {
    let was_empty = items.is_empty();
    let ids: Vec<_> = items.into_iter().filter_map(read).collect();
    (was_empty || !ids.is_empty()).then_some(Detail::Ids(ids))
}

/// A number, or the decimal digits of an integer in a text.
#[must_use]
pub fn number(value: Value<'_>) -> Option<Detail<'_>> {
    match value {
        Value::Str(digits) => Some(Detail::Number(digits.parse::<i64>().ok()?.to_string())),
        Value::Number(_) => Some(scalar(value)),
        _ => None,
    }
}

/// A value of any type. What DynamoDB could reject (numbers outside its range, deep structures) becomes its JSON text.
#[must_use]
pub fn scalar(value: Value<'_>) -> Detail<'_> {
    match value {
        Value::Str(text) => Detail::Text(text),
        Value::Bool(flag) => Detail::Flag(flag),
        Value::Null => Detail::Nothing,
        Value::Number(_) if value.as_f64().is_some_and(is_storable) => Detail::Number(value.to_string()),
        Value::Number(_) | Value::Array(_) | Value::Object(_) => Detail::Text(Cow::Owned(value.to_string())),
    }
}

/// Whether DynamoDB's number type holds `number`: 0, or a magnitude between 1e-130 and 1e126.
fn is_storable(number: f64) -> bool {
    number == 0.0 || (1e-130..9.9e125).contains(&number.abs())
}

/// A time in milliseconds since 1970, as a number or its decimal digits; `None` where it is odd or implausible.
fn time_millis(value: &Value<'_>) -> Option<Timestamp> {
    let millis = match value {
        Value::Str(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok()?,
        // An exponent makes a float of an integer; the years 2000 to 9999 are exact in it.
        Value::Number(number) => number.as_i64().or_else(|| number.as_f64().map(whole))?,
        _ => return None,
    };
    Timestamp::from_unix_millis(millis)
}

/// The integer part of `number`, at the ends of `i64` where it is beyond them.
#[expect(clippy::cast_possible_truncation, reason = "saturating is what is wanted: an implausible time either way")]
fn whole(number: f64) -> i64 {
    number as i64
}

#[cfg(test)]
mod tests {
    use serde_json_borrow::Value;

    use super::{Body, scalar, time_millis};
    use crate::domain::change::Detail;
    use crate::domain::rejection::Rejection;

    #[test]
    fn times_are_read_from_numbers_and_digits() {
        for (json, text) in [
            ("1715049600123", Some("2024-05-07T02:40:00.123Z")),
            ("\"1715049600123\"", Some("2024-05-07T02:40:00.123Z")),
            ("1.715049600123e12", Some("2024-05-07T02:40:00.123Z")),
            ("1715049600123.9", Some("2024-05-07T02:40:00.123Z")),
            ("253402300799999", Some("9999-12-31T23:59:59.999Z")),
            ("253402300800000", None),
            ("1715049600", None),
            ("0", None),
            ("-1715049600123", None),
            ("99999999999999999999999", None),
            ("\"\"", None),
            ("\" 1715049600123\"", None),
            ("\"+1715049600123\"", None),
            ("\"99999999999999999999999\"", None),
            ("null", None),
            ("true", None),
            ("[1715049600123]", None),
        ] {
            let value: Value<'_> = serde_json::from_str(json).unwrap();
            assert_eq!(time_millis(&value).map(|time| time.to_string()).as_deref(), text, "{json}");
        }
    }

    #[test]
    fn scalars_are_what_dynamodb_can_hold() {
        for (json, detail) in [
            ("7", Detail::Number("7".into())),
            ("-7.5", Detail::Number("-7.5".into())),
            ("18446744073709551615", Detail::Number("18446744073709551615".into())),
            ("0.0", Detail::Number("0.0".into())),
            ("1e300", Detail::Text("1e+300".into())),
            ("1e-200", Detail::Text("1e-200".into())),
            ("true", Detail::Flag(true)),
            ("null", Detail::Nothing),
            ("{\"a\":[1,null]}", Detail::Text("{\"a\":[1,null]}".into())),
        ] {
            assert_eq!(scalar(serde_json::from_str(json).unwrap()), detail, "{json}");
        }
    }

    #[test]
    fn the_last_of_a_repeated_name_counts() {
        let mut body = Body::parse(br#"{"a":1,"a":2}"#).unwrap();
        assert_eq!(body.take("a"), Some(Value::Number(2_u64.into())));
    }

    #[test]
    fn bodies_that_are_no_json_object_are_rejected() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(200), "]".repeat(200));
        for body in [
            b"".as_slice(),
            b"null",
            b"[{}]",
            b"{}x",
            b"{\"a\":1,}",
            b"{\"a\":\"\xff\"}",
            b"\xff\xfe{\0}\0",
            b"{\"a\":\"\\ud83d\"}",
            deep.as_bytes(),
        ] {
            assert_eq!(Body::parse(body).err(), Some(Rejection::NOT_JSON), "{}", String::from_utf8_lossy(body));
        }
    }
}
