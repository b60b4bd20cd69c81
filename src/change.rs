//! The record's vocabulary: what happened to a group, in words of no platform.

use std::borrow::Cow;

use crate::timestamp::Timestamp;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `group.created`
    GroupCreated,
    /// `group.info_changed`: name, introduction, notification, picture and the like.
    GroupInfoChanged,
    /// `group.owner_changed`
    GroupOwnerChanged,
    /// `group.attributes_changed`: the app's own attributes of a group.
    GroupAttributesChanged,
}

impl Kind {
    /// The text of the record's `kind`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::GroupCreated => "group.created",
            Self::GroupInfoChanged => "group.info_changed",
            Self::GroupOwnerChanged => "group.owner_changed",
            Self::GroupAttributesChanged => "group.attributes_changed",
        }
    }
}

/// One change of one group, as a callback tells it. Texts borrow the callback's body where they can.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupChange<'a> {
    /// What happened.
    pub kind: Kind,
    /// The platform's command, in its canonical spelling.
    pub command: &'static str,
    /// The group's id, as sent; never empty.
    pub group_id: Cow<'a, str>,
    /// When it happened, where the callback says so plausibly.
    pub occurred_at: Option<Timestamp>,
    /// Who did it, where the callback says so.
    pub operator: Option<Cow<'a, str>>,
    /// The group's type, where the callback says so, verbatim.
    pub group_type: Option<Cow<'a, str>>,
    /// What changed, under its neutral names. An untouched field is not there; a cleared one is the empty text.
    pub details: Vec<(&'static str, Detail<'a>)>,
    /// Where the request for the change came from: `client_ip`, `client_platform`, `operation_id`.
    pub source: Vec<(&'static str, Cow<'a, str>)>,
    /// What besides command and body tells this callback from another one; empty where the platform sends no such thing.
    pub identity: Cow<'a, str>,
}

/// The value of one changed field.
#[derive(Clone, Debug, PartialEq)]
pub enum Detail<'a> {
    /// A text; empty where the field was cleared.
    Text(Cow<'a, str>),
    /// A number, in decimal notation.
    Number(String),
    /// A truth value.
    Flag(bool),
    /// Named without a value, as the keys of deleted attributes are.
    Nothing,
    /// User ids.
    Ids(Vec<Cow<'a, str>>),
    /// Values by key: custom fields, attributes.
    Map(Vec<(Cow<'a, str>, Detail<'a>)>),
}
