//! The answer: `CommonCallbackResp` (`pkg/callbackstruct/common.go`), and for a hook before an action the fields that leave
//! the action as it was.
//!
//! OpenIM ignores the HTTP status and, since v3.7, `actionCode` 1. It applies the fields of any JSON answer to the request that it is
//! about to carry out. So every answer to a Before hook echoes the request's own fields, whatever became of it; a stranger learns
//! nothing by them.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;

use super::decode::url_commands;
use crate::domain::rejection::Rejection;
use crate::domain::request::Request;

/// The fields that the server takes from the answer to `callbackBeforeSetGroupInfoCommand` in any case
/// (`webhookBeforeSetGroupInfo` in `internal/rpc/group/callback.go`): it blanks those that are absent.
const ALWAYS_APPLIED: [&str; 4] = ["groupID", "groupName", "faceURL", "introduction"];
/// The fields that it takes where the answer has them, while the request says `""` or 0 for what nobody touched.
const APPLIED_WHERE_PRESENT: [&str; 4] = ["ex", "needVerification", "lookMemberInfo", "applyMemberFriend"];
/// The field that no version is known to apply.
const NOTIFICATION: &str = "notification";

/// Hooks whose names do not say so, of v3.0 to v3.6.
const OLDER_HOOKS: [&str; 4] = [
    "callbackMsgModifyCommand",
    "callbackOfflinePushCommand",
    "callbackOnlinePushCommand",
    "callbackSuperGroupOnlinePushCommand",
];

pub(super) fn body(request: Option<&Request<'_>>, rejection: Option<Rejection>) -> String {
    let echo = request.and_then(|request| echo(request, rejection.is_none()));
    if echo.is_none() && rejection.is_none() {
        return r#"{"actionCode":0,"errCode":0,"errMsg":"Success","errDlt":"","nextCode":0}"#.to_owned();
    }
    // Neither a String nor an answer fails.
    serde_json::to_string(&Answer { echo, rejection }).unwrap_or_default()
}

/// An answer with codes, and a hook's own fields.
struct Answer<'r> {
    echo: Option<Echo<'r>>,
    rejection: Option<Rejection>,
}

impl Serialize for Answer<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { echo, rejection } = self;
        let mut answer = serializer.serialize_map(None)?;
        for (name, value) in echo.iter().flatten() {
            answer.serialize_entry(name, value)?;
        }
        // Up to v3.6 an `actionCode` other than 0 makes the action fail; `nextCode` 1 does in every version.
        answer.serialize_entry("actionCode", &u32::from(rejection.is_some() && echo.is_none()))?;
        answer.serialize_entry("errCode", &rejection.map_or(0, Rejection::code))?;
        answer.serialize_entry("errMsg", rejection.map_or("Success", Rejection::sentence))?;
        answer.serialize_entry("errDlt", "")?;
        answer.serialize_entry("nextCode", &0)?;
        answer.end()
    }
}

/// The fields that a hook's answer must have, by name; `None` for what is no hook.
type Echo<'r> = Vec<(&'static str, &'r RawValue)>;

fn echo<'r>(request: &'r Request<'_>, is_success: bool) -> Option<Echo<'r>> {
    let in_url = || url_commands(request);
    // What was understood names one command in URL and body: nothing more needs to be read.
    if is_success && in_url().next().is_some() && !in_url().any(is_hook) {
        return None;
    }
    let body = request.body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&request.body);
    let body: Fields<'_> = serde_json::from_slice(body).unwrap_or_default();
    let in_body: Option<Cow<'_, str>> = body.command.and_then(|command| serde_json::from_str(command.get()).ok());
    let mut is_a_hook = false;
    let mut set_group_info: Option<bool> = None;
    for command in in_url().chain(in_body.as_deref()).filter(|command| is_hook(command)) {
        is_a_hook = true;
        if let Some(form) = command.to_ascii_lowercase().strip_prefix("callbackbeforesetgroupinfo") {
            set_group_info = Some(form.contains("ex") || set_group_info == Some(true));
        }
    }
    match set_group_info {
        Some(is_ex) => Some(body.unaltered(is_ex)),
        None => is_a_hook.then(Vec::new),
    }
}

/// Whether a command asks before an action.
fn is_hook(command: &str) -> bool {
    command.get(..14).is_some_and(|begin| begin.eq_ignore_ascii_case("callbackBefore"))
        || OLDER_HOOKS.iter().any(|hook| hook.eq_ignore_ascii_case(command))
}

/// The fields of a body that an answer may need, as they were sent; of a repeated name the last one. Nothing is allocated for
/// what is left out, because nobody has vouched for the request and the body may be of any size.
#[derive(Default)]
struct Fields<'r> {
    command: Option<&'r RawValue>,
    /// The documentation's nested object.
    nested: Option<&'r RawValue>,
    /// Of [`ALWAYS_APPLIED`], [`APPLIED_WHERE_PRESENT`] and [`NOTIFICATION`], in this order.
    values: [Option<&'r RawValue>; 9],
}

impl<'r> Fields<'r> {
    fn names() -> impl Iterator<Item = &'static str> {
        ALWAYS_APPLIED.into_iter().chain(APPLIED_WHERE_PRESENT).chain([NOTIFICATION])
    }

    /// The fields that leave the setting of a group's information as it was asked for, as plain values.
    ///
    /// The Ex form's server replaces each field by the answer's, so all of them go back, null as null. v3.8.1-rc.1 sends
    /// that form under the other name; a null identifies it, because the other form has none. There, `""` and 0 may be
    /// untouched fields, and what goes back would be set.
    fn unaltered(self, is_ex: bool) -> Echo<'r> {
        let nested: Fields<'r> =
            self.nested.and_then(|nested| serde_json::from_str(nested.get()).ok()).unwrap_or_default();
        let fields = self.values.into_iter().zip(nested.values).map(|(own, nested)| own.or(nested).and_then(unwrap));
        let fields: Vec<_> = Self::names().zip(fields).filter_map(|(name, value)| Some((name, value?))).collect();
        let is_ex = is_ex || fields.iter().any(|(_, value)| value.get() == "null");
        let is_zero = |value: &RawValue| matches!(value.get(), "\"\"" | "0");
        let is_wanted = |(name, value): &(&'static str, &'r RawValue)| {
            is_ex || ALWAYS_APPLIED.contains(name) || (APPLIED_WHERE_PRESENT.contains(name) && !is_zero(value))
        };
        fields.into_iter().filter(is_wanted).collect()
    }
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut read = Fields::default();
                while let Some(name) = map.next_key::<Cow<'de, str>>()? {
                    let field = match name.as_ref() {
                        "callbackCommand" => Some(&mut read.command),
                        "groupInfoForSet" | "groupInfoForSetEX" => Some(&mut read.nested),
                        name => Fields::names()
                            .zip(&mut read.values)
                            .find(|(field, _)| *field == name)
                            .map(|(_, field)| field),
                    };
                    match field {
                        Some(field) => *field = Some(map.next_value()?),
                        None => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(read)
            }
        }

        deserializer.deserialize_map(Reader)
    }
}

/// The value inside `{"value": …}`, as the documentation wraps values; `None` for `{}`.
fn unwrap(value: &RawValue) -> Option<&RawValue> {
    #[derive(serde::Deserialize)]
    struct Wrapped<'v> {
        #[serde(borrow)]
        value: Option<&'v RawValue>,
    }

    if value.get().starts_with('{') {
        serde_json::from_str::<Wrapped<'_>>(value.get()).ok()?.value
    } else {
        Some(value)
    }
}
