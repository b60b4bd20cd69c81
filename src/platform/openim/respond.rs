//! The answer: `CommonCallbackResp` (`pkg/callbackstruct/common.go`), and for a hook before an action the fields that leave
//! the action as it was.
//!
//! The server looks neither at the HTTP status nor, since v3.7, at `actionCode` 1: it applies the fields of any JSON object
//! to the request that it is about to carry out, a rejection's included. So a hook gets its own fields back whatever became of
//! it. They are the caller's own, so a stranger learns nothing by them.

use std::borrow::Cow;

use serde_json::{Map, Value as Json};
use serde_json_borrow::Value;

use super::decode::{find, flatten, is_after, unwrap, url_commands};
use crate::domain::rejection::Rejection;
use crate::domain::request::{MAX_BODY_BYTES, Request};
use crate::platform::command::{Body, string};

/// What the server takes from the answer to `callbackBeforeSetGroupInfoCommand` in any case (`webhookBeforeSetGroupInfo` in
/// `internal/rpc/group/callback.go`): where one of them is absent, the request's own is blanked.
const ALWAYS_APPLIED: [&str; 4] = ["groupID", "groupName", "faceURL", "introduction"];
/// What it takes where the answer has it, while the request says `""` or 0 for what nobody touched.
const APPLIED_WHERE_PRESENT: [&str; 4] = ["ex", "needVerification", "lookMemberInfo", "applyMemberFriend"];
/// What no version is known to apply.
const NOTIFICATION: &str = "notification";

pub(super) fn respond(request: Option<&Request<'_>>, rejection: Option<Rejection>) -> Cow<'static, str> {
    let hook = request.and_then(|request| hook(request, rejection.is_none()));
    if hook.is_none() && rejection.is_none() {
        return Cow::Borrowed(r#"{"actionCode":0,"errCode":0,"errMsg":"Success","errDlt":"","nextCode":0}"#);
    }
    let mut answer = hook.as_ref().map(|hook| hook.fields.clone()).unwrap_or_default();
    // Up to v3.6 an `actionCode` other than 0 makes the action fail; `nextCode` 1 does in every version.
    let action_code = u32::from(rejection.is_some() && hook.is_none());
    let error = rejection.map_or_else(|| "Success".to_owned(), |rejection| rejection.to_string());
    answer.extend([
        ("actionCode".to_owned(), action_code.into()),
        ("errCode".to_owned(), rejection.map_or(0, Rejection::code).into()),
        ("errMsg".to_owned(), error.into()),
        ("errDlt".to_owned(), "".into()),
        ("nextCode".to_owned(), 0.into()),
    ]);
    Cow::Owned(Json::Object(answer).to_string())
}

/// A hook before an action.
struct Hook {
    /// The fields that its answer must have.
    fields: Map<String, Json>,
}

/// The hook that a request is, if it is one.
fn hook(request: &Request<'_>, is_success: bool) -> Option<Hook> {
    let is_recorded = |command: &str| find(command).is_some() || is_after(command);
    // What was understood and is recorded is no hook: nothing more needs to be read.
    if is_success && url_commands(request).next().is_some_and(is_recorded) {
        return None;
    }
    let in_url = url_commands(request).any(is_before);
    // Nobody has vouched for the request, so a large body is read only where the URL says that it is a hook's.
    let body = (in_url || request.body.len() <= MAX_BODY_BYTES).then(|| Body::parse(&request.body).ok()).flatten();
    let Some(mut body) = body else { return in_url.then(|| Hook { fields: Map::new() }) };
    let in_body = body.take("callbackCommand").and_then(string);
    let commands = || url_commands(request).chain(in_body.as_deref());
    if !commands().any(is_before) {
        return None;
    }
    let mut set_group_info = commands().filter_map(set_group_info).peekable();
    let fields = if set_group_info.peek().is_some() {
        let is_ex = set_group_info.any(|suffix| suffix.contains("ex"));
        flatten(&mut body);
        echo(body, is_ex)
    } else {
        Map::new()
    };
    Some(Hook { fields })
}

/// Whether a command asks before an action.
fn is_before(command: &str) -> bool {
    command.get(..14).is_some_and(|begin| begin.eq_ignore_ascii_case("callbackBefore"))
}

/// What follows `callbackBeforeSetGroupInfo` in a command, in lower case.
fn set_group_info(command: &str) -> Option<String> {
    command.to_ascii_lowercase().strip_prefix("callbackbeforesetgroupinfo").map(str::to_owned)
}

/// The fields that leave the setting of a group's information as it was asked for, as plain values.
///
/// The Ex form's server replaces each field by the answer's, so all of them go back, null as null. v3.8.1-rc.1 sends that
/// form under the other name; a null tells, because the other form has none. There, `""` and 0 may be untouched fields, and
/// what goes back would be set.
fn echo(mut body: Body<'_>, is_ex: bool) -> Map<String, Json> {
    let optional = APPLIED_WHERE_PRESENT;
    let is_ex = is_ex || ALWAYS_APPLIED.iter().chain(&optional).chain([&NOTIFICATION]).any(|name| body.is_null(name));
    let mut field = |name: &&'static str| Some((*name, unwrap(body.take(name)?, || Value::Null)));
    let mut fields: Vec<_> = ALWAYS_APPLIED.iter().filter_map(&mut field).collect();
    fields.extend(optional.iter().filter_map(&mut field).filter(|(_, value)| is_ex || !is_zero(value)));
    if is_ex {
        fields.extend(field(&NOTIFICATION));
    }
    fields.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect()
}

/// Whether a value is `""` or 0.
fn is_zero(value: &Value<'_>) -> bool {
    value.as_str() == Some("") || value.as_i64() == Some(0)
}
