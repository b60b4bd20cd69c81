//! The callbacks' bodies: one row an event. What is said of the room itself is in the object `room`.

use std::borrow::Cow;

use group_ledger::domain::callback::Callback;
use group_ledger::domain::change::{GroupChange, Kind};
use group_ledger::domain::quarantine::Undecodable;
use group_ledger::domain::rejection::Rejection;
use group_ledger::platform::Decoded;
use group_ledger::platform::command::{Body, Command, Field, agreed, id, ids, string, text, user};

use super::TENANT;

/// The recorded events.
pub(super) static COMMANDS: [Command; 3] = [
    Command {
        name: "room.created",
        aliases: &[],
        kind: Kind::GroupCreated,
        time: Some("at"),
        fields: &[
            Field::new("title", "name", text),
            Field::new("owner", "owner", user),
            Field::new("users", "members", ids),
        ],
    },
    Command {
        name: "room.renamed",
        aliases: &[],
        kind: Kind::GroupInfoChanged,
        time: Some("at"),
        fields: &[Field::new("title", "name", text)],
    },
    Command {
        name: "room.joined",
        aliases: &[],
        kind: Kind::MemberJoined,
        time: Some("at"),
        fields: &[Field::new("users", "members", ids)],
    },
];

/// An event of a room that this version does not know.
static UNKNOWN: Command = Command { name: "", aliases: &[], kind: Kind::GroupUnknown, time: Some("at"), fields: &[] };

/// The row of an event; `None` where it is not recorded: messages, users.
pub(super) fn row(name: &str) -> Option<&'static Command> {
    COMMANDS.iter().find(|command| command.name == name).or_else(|| name.starts_with("room.").then_some(&UNKNOWN))
}

pub(super) fn decode<'c>(callback: &'c Callback<'_>) -> Result<Decoded<'c>, Undecodable<'c>> {
    let mut body = Body::parse(&callback.body)?;
    let name = agreed(callback.command.as_deref(), body.take("event").and_then(string))?;
    let Some(command) = row(&name) else {
        return Ok(Decoded::Ignored(name));
    };
    body.flatten("room");
    let Some(group_id) = body.take("id").and_then(id).filter(|id| !id.is_empty()) else {
        return Err(Undecodable { rejection: Rejection::NO_GROUP_ID, command: Some(name) });
    };
    let tenant = callback.parameter(TENANT);
    Ok(Decoded::Change(GroupChange {
        kind: command.kind,
        command: name,
        group_id,
        occurred_at: command.occurred_at(&mut body),
        operator: body.take("by").and_then(id),
        group_type: None,
        details: command.details(&mut body),
        source: tenant.map(|tenant| (Cow::Borrowed("tenant"), Cow::Borrowed(tenant))).into_iter().collect(),
        identity: Cow::Borrowed(tenant.unwrap_or_default()),
    }))
}
