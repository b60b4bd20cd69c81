//! The callbacks' bodies: one row a command, named after `pkg/callbackstruct`.
//!
//! A server's value is plain, null where it was not touched. Its documentation wraps values as `{"value": …}` (protobuf's
//! `StringValue` and `Int32Value`, where `{}` is the zero value) and nests them in `groupInfoForSet`; all are read.

use std::borrow::Cow;
use std::collections::HashSet;

use serde_json_borrow::Value;

use super::{COMMAND_PARAMETER, OPERATION_ID};
use crate::domain::callback::Callback;
use crate::domain::change::{Detail, GroupChange, Kind};
use crate::domain::quarantine::Undecodable;
use crate::domain::rejection::Rejection;
use crate::domain::request::Request;
use crate::platform::Decoded;
use crate::platform::command::{Body, Command, Field, Read, id, ids, list, number, readable, string, text, user};

/// The recorded commands, by the names of `pkg/callbackstruct/group.go`. Other spellings are of other versions, of the
/// documentation and of forks; all are compared without regard to case.
pub(super) static COMMANDS: [Command; 9] = [
    // CallbackAfterCreateGroupReq
    Command {
        name: "callbackAfterCreateGroupCommand",
        aliases: &[],
        kind: Kind::GroupCreated,
        time: Some("createTime"),
        fields: &[
            Field::new("groupName", "name", string_value),
            Field::new("notification", "notification", string_value),
            Field::new("introduction", "introduction", string_value),
            Field::new("faceURL", "face_url", string_value),
            Field::new("ownerUserID", "owner", user),
            Field::new("initMemberList", "members", members),
            Field::new("memberCount", "member_count", int32_value),
            Field::new("creatorUserID", "creator_user_id", user),
            Field::new("status", "status", int32_value),
            Field::new("ex", "ex", string_value),
            Field::new("needVerification", "need_verification", int32_value),
            Field::new("lookMemberInfo", "look_member_info", int32_value),
            Field::new("applyMemberFriend", "apply_member_friend", int32_value),
            Field::new("notificationUpdateTime", "notification_update_time", int32_value),
            Field::new("notificationUserID", "notification_user_id", user),
        ],
    },
    // CallbackAfterSetGroupInfoReq, where an empty text is an untouched field
    Command {
        name: "callbackAfterSetGroupInfoCommand",
        aliases: &[],
        kind: Kind::GroupInfoChanged,
        time: None,
        fields: &group_info(unless_empty, unless_empty),
    },
    // CallbackAfterSetGroupInfoExReq, where an empty text is a cleared field
    Command {
        name: "callbackAfterSetGroupInfoExCommand",
        aliases: &["callbackAfterSetGroupInfoCommandEX"],
        kind: Kind::GroupInfoChanged,
        time: None,
        fields: &group_info(string_value, string_value),
    },
    // CallbackTransferGroupOwnerReq
    Command {
        name: "callbackAfterTransferGroupOwnerCommand",
        aliases: &[
            "callbackTransferGroupOwnerAfter",
            "callbackAfterTransferGroupOwner",
            "transferGroupOwnerAfterCommand",
        ],
        kind: Kind::GroupOwnerChanged,
        time: None,
        fields: &[Field::new("oldOwnerUserID", "old_owner", user), Field::new("newOwnerUserID", "new_owner", user)],
    },
    // CallbackDismissGroupReq
    Command {
        name: "callbackAfterDisMissGroupCommand",
        aliases: &["callbackDisMissGroupCommand", "callbackAfterUngroupCommand"],
        kind: Kind::GroupDismissed,
        time: None,
        fields: &[
            Field::new("ownerID", "owner", user),
            Field::new("membersID", "members", ids),
            // The documentation's name.
            Field::new("memberList", "members", ids),
        ],
    },
    // CallbackJoinGroupReq
    Command {
        name: "callbackAfterJoinGroupCommand",
        aliases: &[],
        kind: Kind::MemberJoined,
        time: None,
        fields: &[
            // Forks and the documentation; there the other one is who invited.
            Field::new("userID", "members", ids),
            // The user who joined, by the server's code.
            Field::new("inviterUserID", "members", ids),
            Field::new("reqMessage", "message", text),
            Field::new("joinSource", "join_source", int32_value),
        ],
    },
    // CallbackQuitGroupReq
    Command {
        name: "callbackAfterQuitGroupCommand",
        aliases: &["callbackQuitGroupCommand"],
        kind: Kind::MemberLeft,
        time: None,
        fields: &[Field::new("userID", "members", ids)],
    },
    // CallbackKillGroupMemberReq
    Command {
        name: "callbackAfterKickGroupCommand",
        aliases: &["callbackKillGroupCommand", "callbackAfterKickGroupMemberCommand"],
        kind: Kind::MemberLeft,
        time: None,
        fields: &[Field::new("kickedUserIDs", "members", ids), Field::new("reason", "reason", text)],
    },
    // CallbackAfterSetGroupMemberInfoReq
    Command {
        name: "callbackAfterSetGroupMemberInfoCommand",
        aliases: &["callbackAfterSetGroupMemberInfo"],
        kind: Kind::MemberChanged,
        time: None,
        fields: &[
            Field::new("userID", "member", user),
            Field::new("roleLevel", "role", int32_value),
            Field::new("nickName", "nickname", string_value),
            // Forks.
            Field::new("nickname", "nickname", string_value),
            Field::new("faceURL", "face_url", string_value),
            Field::new("ex", "ex", string_value),
        ],
    },
];

/// The fields of a group's information, whose name and other texts are read by these.
const fn group_info(name: Read, text: Read) -> [Field; 8] {
    [
        Field::new("groupName", "name", name),
        Field::new("notification", "notification", text),
        Field::new("introduction", "introduction", text),
        Field::new("faceURL", "face_url", text),
        Field::new("ex", "ex", string_value),
        Field::new("needVerification", "need_verification", int32_value),
        Field::new("lookMemberInfo", "look_member_info", int32_value),
        Field::new("applyMemberFriend", "apply_member_friend", int32_value),
    ]
}

/// v3.8.1-rc.1 sent the Ex event under the name of the other one, with a plain text for the name alone: an empty name is an
/// untouched one, any other empty text a cleared one. Its null texts give it away.
static SET_GROUP_INFO_OF_RC1: Command = Command {
    name: "callbackAfterSetGroupInfoCommand",
    aliases: &[],
    kind: Kind::GroupInfoChanged,
    time: None,
    fields: &group_info(unless_empty, string_value),
};

/// A command that this version does not know.
static UNKNOWN: Command = Command { name: "", aliases: &[], kind: Kind::GroupUnknown, time: None, fields: &[] };

pub(super) fn decode<'c>(callback: &'c Callback<'_>) -> Result<Decoded<'c>, Undecodable<'c>> {
    let mut body = Body::parse(&callback.body)?;
    let in_body = body.take("callbackCommand").and_then(string).filter(|command| !command.is_empty());
    let in_url = [callback.command.as_deref(), callback.parameter(COMMAND_PARAMETER)];
    let mut spellings = in_body.into_iter().chain(in_url.into_iter().flatten().map(Cow::Borrowed));
    let spelling = spellings.next().ok_or(Rejection::NO_COMMAND)?;
    if spellings.any(|other| !is_same(&spelling, &other)) {
        return Err(Undecodable { rejection: Rejection::COMMAND_MISMATCH, command: Some(spelling) });
    }
    flatten(&mut body);

    let known = find(&spelling);
    if known.is_none() && !is_after(&spelling) {
        return Ok(Decoded::Ignored(spelling));
    }
    // The body's own, else the nested one.
    let group_ids = [body.take("groupID"), body.take("groupID")].into_iter().flatten();
    let group_id = group_ids.filter_map(|value| id(unwrap(value, || Value::Null))).find(|id| !id.is_empty());
    let (command, name, group_id) = match (known, group_id) {
        (Some(command), Some(group_id)) => (command, Cow::Borrowed(command.name), group_id),
        (None, Some(group_id)) => (&UNKNOWN, spelling, group_id),
        (Some(command), None) => {
            return Err(Undecodable { rejection: Rejection::NO_GROUP_ID, command: Some(Cow::Borrowed(command.name)) });
        }
        // Users', friends': every family has commands of this form.
        (None, None) => return Ok(Decoded::Ignored(spelling)),
    };
    let is_of_rc1 = command.name == SET_GROUP_INFO_OF_RC1.name
        && ["notification", "introduction", "faceURL"].iter().any(|name| body.is_null(name));
    let command = if is_of_rc1 { &SET_GROUP_INFO_OF_RC1 } else { command };

    let header = callback.parameter(OPERATION_ID).unwrap_or_default();
    let operation_id = [Some(Cow::Borrowed(header)), body.take("operationID").and_then(string)];
    let operation_id = operation_id.into_iter().flatten().find(|id| !id.is_empty());
    let mut details = command.details(&mut body);
    if command.kind == Kind::MemberLeft {
        let how = if command.name == "callbackAfterQuitGroupCommand" { "quit" } else { "kicked" };
        details.push(("how".into(), Detail::Text(Cow::Borrowed(how))));
    }
    Ok(Decoded::Change(GroupChange {
        kind: command.kind,
        command: name,
        group_id,
        occurred_at: command.occurred_at(&mut body),
        operator: None,
        group_type: body.take("groupType").and_then(group_type),
        details,
        source: operation_id.map(|id| ("operation_id".into(), id)).into_iter().collect(),
        identity: Cow::Borrowed(header),
    }))
}

/// Reads the fields of the documentation's nested objects as the body's own.
fn flatten(body: &mut Body<'_>) {
    body.flatten("groupInfoForSet");
    body.flatten("groupInfoForSetEX");
}

/// Whether a command without a row tells of something that has happened, and of no message or conversation.
pub(super) fn is_after(spelling: &str) -> bool {
    let spelling = spelling.to_ascii_lowercase();
    spelling.starts_with("callbackafter")
        && !["msg", "message", "conversation"].iter().any(|word| spelling.contains(word))
}

/// The commands that the URL names: the last segment of its path, and the parameter that older servers and pages use
/// (with a slash in front where the configured URL ends in `?command=`).
pub(super) fn url_commands<'r>(request: &'r Request<'_>) -> impl Iterator<Item = &'r str> {
    let path = request.last_segment().filter(|segment| is_command(segment));
    let query = request.query.get(COMMAND_PARAMETER).map(|command| command.trim_start_matches('/'));
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
pub(super) fn find(spelling: &str) -> Option<&'static Command> {
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

/// A group's type: a number. A dismissal sends the character of that number (Go's `string(int32(2))`), which is read as the
/// number, because one group has one type.
fn group_type(value: Value<'_>) -> Option<Cow<'_, str>> {
    let group_type = id(value)?;
    match group_type.as_bytes() {
        [] => None,
        [control] if control.is_ascii_control() => Some(Cow::Owned(control.to_string())),
        _ => Some(group_type),
    }
}

/// A text, plain or wrapped.
fn string_value(value: Value<'_>) -> Option<Detail<'_>> {
    text(unwrap(value, || Value::Str(Cow::Borrowed(""))))
}

/// A text that is not empty.
fn unless_empty(value: Value<'_>) -> Option<Detail<'_>> {
    string_value(value).filter(|detail| *detail != Detail::Text(Cow::Borrowed("")))
}

/// A number, plain or wrapped, or its decimal digits in a text.
fn int32_value(value: Value<'_>) -> Option<Detail<'_>> {
    number(unwrap(value, || Value::Number(0_u64.into())))
}

/// `[{"userID": "…", "roleLevel": 20}]`. The server lists everybody a second time as a plain member.
fn members(value: Value<'_>) -> Option<Detail<'_>> {
    let user_id = |item| match item {
        Value::Object(fields) => {
            fields.into_vec().into_iter().find(|(name, _)| name == "userID").and_then(|(_, value)| id(value))
        }
        item => id(item),
    };
    let mut members = readable(list(value)?, user_id)?;
    if let Detail::Ids(ids) = &mut members {
        let mut seen = HashSet::new();
        ids.retain(|id| seen.insert(id.clone()));
    }
    Some(members)
}

/// The value inside `{"value": …}`; `zero` for `{}`, which is how protobuf's JSON writes a wrapped zero value.
fn unwrap<'a>(value: Value<'a>, zero: impl FnOnce() -> Value<'a>) -> Value<'a> {
    let Value::Object(fields) = value else { return value };
    if fields.is_empty() {
        return zero();
    }
    fields.into_vec().into_iter().find(|(name, _)| name == "value").map_or(Value::Null, |(_, value)| value)
}
