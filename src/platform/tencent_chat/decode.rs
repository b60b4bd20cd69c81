//! The callbacks' bodies: one row a command, named after its page's fields.
//!
//! Read leniently, because page and wire differ: ids may be numbers, times texts, lists null, and a field of another
//! type than documented is left to the raw body.

use std::borrow::Cow;

use serde_json_borrow::Value;

use crate::domain::callback::Callback;
use crate::domain::change::{Detail, GroupChange, Kind};
use crate::domain::quarantine::Undecodable;
use crate::domain::rejection::Rejection;
use crate::platform::Decoded;
use crate::platform::command::{
    Body, Command, Field, agreed, id, ids, list, number, readable, scalar, string, text, user,
};

use super::{CLIENT_IP, CLIENT_PLATFORM};

/// The recorded commands.
pub(super) static COMMANDS: [Command; 14] = [
    // https://www.tencentcloud.com/document/product/1047/34369
    Command {
        name: "Group.CallbackAfterCreateGroup",
        aliases: &[],
        kind: Kind::GroupCreated,
        time: Some("EventTime"),
        fields: &[
            Field::new("Name", "name", text),
            Field::new("Owner_Account", "owner", user),
            Field::new("Introduction", "introduction", text),
            Field::new("Notification", "notification", text),
            Field::new("FaceUrl", "face_url", text),
            Field::new("MemberList", "members", members),
            Field::new("UserDefinedDataList", "custom_fields", pairs),
            // Not on the page, but on the wire.
            Field::new("InviteOption", "invite_option", text),
        ],
    },
    // https://www.tencentcloud.com/document/product/1047/34378
    Command {
        name: "Group.CallbackAfterGroupInfoChanged",
        aliases: &[],
        kind: Kind::GroupInfoChanged,
        time: Some("EventTime"),
        fields: &[
            Field::new("Name", "name", text),
            Field::new("Introduction", "introduction", text),
            Field::new("Notification", "notification", text),
            Field::new("FaceUrl", "face_url", text),
            // Part of a group's profile by the page's text, though in none of its samples.
            Field::new("UserDefinedDataList", "custom_fields", pairs),
        ],
    },
    // https://www.tencentcloud.com/document/product/1047/60396
    Command {
        name: "Group.CallbackAfterChangeGroupOwner",
        aliases: &[],
        kind: Kind::GroupOwnerChanged,
        time: Some("EventTime"),
        fields: &[Field::new("OldOwner_Account", "old_owner", user), Field::new("NewOwner_Account", "new_owner", user)],
    },
    // https://www.tencentcloud.com/document/product/1047/60394
    Command {
        name: "Group.CallbackAfterGroupAttrChanged",
        aliases: &[],
        kind: Kind::GroupAttributesChanged,
        time: Some("EventTime"),
        fields: &[
            // In the page's sample only: set, modify, clear or delete.
            Field::new("OptionType", "operation", text),
            Field::new("GroupAttr", "attributes", pairs),
        ],
    },
    // https://www.tencentcloud.com/document/product/1047/34377
    Command {
        name: "Group.CallbackAfterGroupDestroyed",
        aliases: &[],
        kind: Kind::GroupDismissed,
        time: Some("EventTime"),
        fields: &[
            Field::new("Owner_Account", "owner", user),
            Field::new("Name", "name", text),
            Field::new("MemberList", "members", members),
        ],
    },
    // https://www.tencentcloud.com/document/product/1047/34376
    Command {
        name: "Group.CallbackAfterGroupFull",
        aliases: &[],
        kind: Kind::GroupFull,
        time: Some("EventTime"),
        fields: &[],
    },
    // https://www.tencentcloud.com/document/product/1047/34372
    Command {
        name: "Group.CallbackAfterNewMemberJoin",
        aliases: &[],
        kind: Kind::MemberJoined,
        time: Some("EventTime"),
        fields: &[Field::new("NewMemberList", "members", members), Field::new("JoinType", "how", how)],
    },
    // https://www.tencentcloud.com/document/product/1047/34373
    Command {
        name: "Group.CallbackAfterMemberExit",
        aliases: &[],
        kind: Kind::MemberLeft,
        time: Some("EventTime"),
        fields: &[Field::new("ExitMemberList", "members", members), Field::new("ExitType", "how", how)],
    },
    // https://www.tencentcloud.com/document/product/1047/60393
    Command {
        name: "Group.CallbackAfterMemberFieldChanged",
        aliases: &[],
        kind: Kind::MemberChanged,
        time: Some("EventTime"),
        fields: &[
            Field::new("Member_Account", "member", user),
            // The mainland's page's name, https://cloud.tencent.com/document/product/269/105353.
            Field::new("Modified_Account", "member", user),
            Field::new("Role", "role", text),
            Field::new("NameCard", "nickname", text),
        ],
    },
    // https://www.tencentcloud.com/document/product/1047/48734
    Command {
        name: "Group.CallbackOnMemberStateChange",
        aliases: &[],
        kind: Kind::MemberStateChanged,
        time: Some("EventTime"),
        fields: &[
            Field::new("MemberList", "members", members),
            Field::new("EventType", "state", text),
            Field::new("EventCause", "cause", text),
        ],
    },
    // https://www.tencentcloud.com/document/product/1047/49464
    Command {
        name: "Group.CallbackAfterCreateTopic",
        aliases: &[],
        kind: Kind::TopicCreated,
        time: Some("EventTime"),
        fields: &[
            Field::new("TopicId", "topic_id", text),
            Field::new("Name", "name", text),
            Field::new("Owner_Account", "owner", user),
            Field::new("Introduction", "introduction", text),
            Field::new("Notification", "notification", text),
            Field::new("FaceUrl", "face_url", text),
            Field::new("UserDefinedDataList", "custom_fields", pairs),
        ],
    },
    // https://www.tencentcloud.com/document/product/1047/49466
    Command {
        name: "Group.CallbackAfterTopicInfoChanged",
        aliases: &[],
        kind: Kind::TopicInfoChanged,
        time: Some("EventTime"),
        fields: &[
            // Not on the page.
            Field::new("TopicId", "topic_id", text),
            Field::new("Name", "name", text),
            Field::new("Introduction", "introduction", text),
            Field::new("Notification", "notification", text),
            Field::new("FaceUrl", "face_url", text),
            Field::new("UserDefinedDataList", "custom_fields", pairs),
        ],
    },
    // https://www.tencentcloud.com/document/product/1047/49465
    Command {
        name: "Group.CallbackAfterTopicDestroyed",
        aliases: &[],
        kind: Kind::TopicDismissed,
        time: Some("EventTime"),
        fields: &[Field::new("TopicIdList", "topic_ids", ids)],
    },
    // https://www.tencentcloud.com/document/product/1047/57455
    Command {
        name: "Group.CallbackOnDailyGroupQuotaAlarm",
        aliases: &[],
        kind: Kind::AppGroupQuotaAlarm,
        time: Some("EventTime"),
        fields: &[Field::new("Quota", "quota", number), Field::new("QuotaUsed", "quota_used", number)],
    },
];

/// A command that this version does not know.
static UNKNOWN: Command =
    Command { name: "", aliases: &[], kind: Kind::GroupUnknown, time: Some("EventTime"), fields: &[] };

/// The row of a command; `None` where it is not recorded: other families, hooks before an action, messages.
pub(super) fn row(name: &str) -> Option<&'static Command> {
    let known = COMMANDS.iter().find(|command| command.name == name);
    known.or_else(|| {
        let event = name.strip_prefix("Group.")?;
        let is_ignored = event.starts_with("CallbackBefore")
            || ["Msg", "Message", "Receipt"].iter().any(|word| event.contains(word));
        (!is_ignored).then_some(&UNKNOWN)
    })
}

pub(super) fn decode<'c>(callback: &'c Callback<'_>) -> Result<Decoded<'c>, Undecodable<'c>> {
    let mut body = Body::parse(&callback.body)?;
    let name = agreed(callback.command.as_deref(), body.take("CallbackCommand").and_then(string))?;
    let Some(command) = row(&name) else {
        return Ok(Decoded::Ignored(name));
    };

    // The create page's table of fields prints groupID, its sample and the wire GroupId.
    let group_id = ["GroupId", "groupID"].into_iter().filter_map(|name| body.take(name).and_then(id));
    let group_id = match { group_id }.find(|id| !id.is_empty()) {
        Some(group_id) => group_id,
        None if command.kind.requires_group_id() => {
            return Err(Undecodable { rejection: Rejection::NO_GROUP_ID, command: Some(name) });
        }
        None => Cow::Borrowed(""),
    };
    let source = [("client_ip", CLIENT_IP), ("client_platform", CLIENT_PLATFORM)];
    let source = source.map(|(name, parameter)| (name, callback.parameter(parameter).map(Cow::Borrowed)));
    Ok(Decoded::Change(GroupChange {
        kind: command.kind,
        command: name,
        group_id,
        occurred_at: command.occurred_at(&mut body),
        operator: body.take("Operator_Account").and_then(id).filter(|operator| !operator.is_empty()),
        group_type: body.take("Type").and_then(string).filter(|group_type| !group_type.is_empty()),
        details: command.details(&mut body),
        source: source.into_iter().filter_map(|(name, value)| Some((name.into(), value?))).collect(),
        identity: Cow::Borrowed(""),
    }))
}

/// How somebody joined or left: `apply`, `invited`, `quit` or `kicked`, else verbatim.
fn how(value: Value<'_>) -> Option<Detail<'_>> {
    let how = string(value)?;
    let known = ["apply", "invited", "quit", "kicked"].into_iter().find(|known| how.eq_ignore_ascii_case(known));
    Some(Detail::Text(known.map_or(how, Cow::Borrowed)))
}

/// `[{"Member_Account": "…"}]`; an item without an account is skipped.
fn members(value: Value<'_>) -> Option<Detail<'_>> {
    readable(list(value)?, |item| field(item, "Member_Account").and_then(id))
}

/// `[{"Key": "…", "Value": …}]`, in lower case for attributes. DynamoDB takes no empty or longer names in a map.
fn pairs(value: Value<'_>) -> Option<Detail<'_>> {
    let items = list(value)?.into_iter().filter_map(|item| {
        let Value::Object(fields) = item else { return None };
        let (mut key, mut value) = (None, Value::Null);
        for (name, field) in fields.into_vec() {
            match name.as_ref() {
                "Key" | "key" => key = string(field),
                "Value" | "value" => value = field,
                _ => {}
            }
        }
        let key = key.filter(|key| (1..=65_535).contains(&key.len()))?;
        Some((key, scalar(value)))
    });
    Some(Detail::Map(items.collect()))
}

/// The value of an object's field.
fn field<'a>(object: Value<'a>, name: &str) -> Option<Value<'a>> {
    let Value::Object(fields) = object else { return None };
    fields.into_vec().into_iter().find(|(key, _)| key == name).map(|(_, value)| value)
}
