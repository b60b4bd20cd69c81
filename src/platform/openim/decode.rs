//! The callbacks' bodies: one row a command, named after `pkg/callbackstruct`.
//!
//! A server's value is plain, null where it was not touched. Its documentation wraps values as `{"value": …}` (protobuf's
//! `StringValue` and `Int32Value`, where `{}` is the zero value) and nests them in `groupInfoForSet`; all are read.

use std::borrow::Cow;

use serde_json_borrow::Value;

use crate::change::{Detail, GroupChange, Kind};
use crate::platform::command::{Body, Command, Field, id, scalar, string, text};
use crate::platform::{Decoded, Undecodable};
use crate::refusal::Refusal;
use crate::request::Request;

/// The recorded commands. Spellings differ between versions and pages, and are compared without regard to case.
static COMMANDS: [Command; 1] = [
    // https://docs.openim.io/restapi/webhooks/group/setgroupinfoafter
    Command {
        name: "callbackAfterSetGroupInfoExCommand",
        // A constant of v3.8.1-rc.1.
        aliases: &["callbackAfterSetGroupInfoCommandEX"],
        kind: Kind::GroupInfoChanged,
        time: None,
        fields: &[
            Field::new("groupName", "name", string_value),
            Field::new("notification", "notification", string_value),
            Field::new("introduction", "introduction", string_value),
            Field::new("faceURL", "face_url", string_value),
            Field::new("ex", "ex", string_value),
            Field::new("needVerification", "need_verification", int32_value),
            Field::new("lookMemberInfo", "look_member_info", int32_value),
            Field::new("applyMemberFriend", "apply_member_friend", int32_value),
        ],
    },
];

pub(super) fn decode<'r>(request: &'r Request<'_>) -> Result<Decoded<'r>, Undecodable<'r>> {
    let mut body = Body::parse(&request.body)?;
    let in_body = body.take("callbackCommand").and_then(string).filter(|command| !command.is_empty());
    let mut spellings = in_body.into_iter().chain(url_commands(request).map(Cow::Borrowed));
    let name = spellings.next().ok_or(Refusal::NoCommand)?;
    if spellings.any(|other| !is_same(&name, &other)) {
        return Err(Refusal::CommandMismatch.into());
    }
    let Some(command) = find(&name) else {
        return Ok(Decoded::Ignored(name));
    };

    body.flatten("groupInfoForSet");
    body.flatten("groupInfoForSetEX");
    // The body's own, else the nested one.
    let group_id = [body.take("groupID"), body.take("groupID")]
        .into_iter()
        .filter_map(|value| id(unwrap(value?, || Value::Null)))
        .find(|id| !id.is_empty())
        .ok_or(Undecodable { refusal: Refusal::NoGroupId, command: Some(Cow::Borrowed(command.name)) })?;
    let header = request.headers.get("operationID").unwrap_or_default();
    let operation_id = [Some(Cow::Borrowed(header)), body.take("operationID").and_then(string)];
    Ok(Decoded::Change(GroupChange {
        kind: command.kind,
        command: command.name,
        group_id,
        occurred_at: command.occurred_at(&mut body),
        operator: None,
        group_type: None,
        details: command.details(&mut body),
        source: operation_id
            .into_iter()
            .flatten()
            .find(|id| !id.is_empty())
            .map(|id| ("operation_id", id))
            .into_iter()
            .collect(),
        identity: Cow::Borrowed(header),
    }))
}

/// The commands that the URL names: the last segment of its path, and the parameter that older servers and pages use
/// (with a slash in front where the configured URL ends in `?command=`).
pub(super) fn url_commands<'r>(request: &'r Request<'_>) -> impl Iterator<Item = &'r str> {
    let path = request.path.rsplit('/').find(|segment| !segment.is_empty()).filter(|segment| is_command(segment));
    let query = request.query.get("command").map(|command| command.trim_start_matches('/'));
    path.into_iter().chain(query.filter(|command| !command.is_empty()))
}

/// Whether a path's segment is a command rather than a part of the configured URL: every version's commands begin with
/// `callback` or end with `Command`.
fn is_command(segment: &str) -> bool {
    let begins = segment.get(..8).is_some_and(|begin| begin.eq_ignore_ascii_case("callback"));
    let ends = segment.len().checked_sub(7).and_then(|at| segment.get(at..));
    segment.len() > 8 && (begins || ends.is_some_and(|end| end.eq_ignore_ascii_case("command")))
}

/// The row of a command's spelling.
fn find(spelling: &str) -> Option<&'static Command> {
    let is_it = |name: &&str| name.eq_ignore_ascii_case(spelling);
    COMMANDS.iter().find(|command| is_it(&command.name) || command.aliases.iter().any(is_it))
}

/// Whether two spellings are of one command.
fn is_same(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
        || match (find(one), find(other)) {
            (Some(one), Some(other)) => std::ptr::eq(one, other),
            _ => false,
        }
}

/// A text, plain or wrapped.
fn string_value(value: Value<'_>) -> Option<Detail<'_>> {
    text(unwrap(value, || Value::Str(Cow::Borrowed(""))))
}

/// A number, plain or wrapped, or its decimal digits in a text.
fn int32_value(value: Value<'_>) -> Option<Detail<'_>> {
    match unwrap(value, || Value::Number(0_u64.into())) {
        Value::Str(digits) => Some(Detail::Number(digits.parse::<i64>().ok()?.to_string())),
        number @ Value::Number(_) => Some(scalar(number)),
        _ => None,
    }
}

/// The value inside `{"value": …}`; `zero` for `{}`, which is how protobuf's JSON writes a wrapped zero value.
fn unwrap<'a>(value: Value<'a>, zero: impl FnOnce() -> Value<'a>) -> Value<'a> {
    let Value::Object(fields) = value else { return value };
    if fields.is_empty() {
        return zero();
    }
    fields.into_vec().into_iter().find(|(name, _)| name == "value").map_or(Value::Null, |(_, value)| value)
}
