//! What happened to a group, in platform-neutral types.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::domain::timestamp::Timestamp;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(into = "&str", try_from = "String")]
pub enum Kind {
    /// `group.created`
    GroupCreated,
    /// `group.info_changed`: name, introduction, notification, picture and the like.
    GroupInfoChanged,
    /// `group.owner_changed`
    GroupOwnerChanged,
    /// `group.attributes_changed`: the app's own attributes of a group.
    GroupAttributesChanged,
    /// `group.dismissed`
    GroupDismissed,
    /// `group.full`: as many members as its type may have.
    GroupFull,
    /// `group.unknown`: a change that this version has no word for.
    GroupUnknown,
    /// `member.joined`
    MemberJoined,
    /// `member.left`: quit, or was kicked.
    MemberLeft,
    /// `member.changed`: role, nickname and the like.
    MemberChanged,
    /// `member.state_changed`: went online or offline.
    MemberStateChanged,
    /// `topic.created`
    TopicCreated,
    /// `topic.info_changed`
    TopicInfoChanged,
    /// `topic.dismissed`
    TopicDismissed,
    /// `app.group_quota_alarm`: the app is about to use up its groups of a day.
    AppGroupQuotaAlarm,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 15] = [
        Self::GroupCreated,
        Self::GroupInfoChanged,
        Self::GroupOwnerChanged,
        Self::GroupAttributesChanged,
        Self::GroupDismissed,
        Self::GroupFull,
        Self::GroupUnknown,
        Self::MemberJoined,
        Self::MemberLeft,
        Self::MemberChanged,
        Self::MemberStateChanged,
        Self::TopicCreated,
        Self::TopicInfoChanged,
        Self::TopicDismissed,
        Self::AppGroupQuotaAlarm,
    ];

    /// The text of the record's `kind`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::GroupCreated => "group.created",
            Self::GroupInfoChanged => "group.info_changed",
            Self::GroupOwnerChanged => "group.owner_changed",
            Self::GroupAttributesChanged => "group.attributes_changed",
            Self::GroupDismissed => "group.dismissed",
            Self::GroupFull => "group.full",
            Self::GroupUnknown => "group.unknown",
            Self::MemberJoined => "member.joined",
            Self::MemberLeft => "member.left",
            Self::MemberChanged => "member.changed",
            Self::MemberStateChanged => "member.state_changed",
            Self::TopicCreated => "topic.created",
            Self::TopicInfoChanged => "topic.info_changed",
            Self::TopicDismissed => "topic.dismissed",
            Self::AppGroupQuotaAlarm => "app.group_quota_alarm",
        }
    }

    /// Whether a callback of this kind is rejected without a group's id.
    #[must_use]
    pub const fn requires_group_id(self) -> bool {
        !matches!(self, Self::AppGroupQuotaAlarm | Self::GroupUnknown)
    }
}

impl From<Kind> for &str {
    fn from(kind: Kind) -> Self {
        kind.as_str()
    }
}

impl TryFrom<String> for Kind {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name).ok_or("no kind of change")
    }
}

/// One change of one group, as a callback tells it. Texts borrow the callback's body where they can.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct GroupChange<'a> {
    /// What happened.
    pub kind: Kind,
    /// The platform's command, in its canonical spelling; as sent where there is none.
    pub command: Cow<'a, str>,
    /// The group's id, as sent; empty only where the change is of no group.
    pub group_id: Cow<'a, str>,
    /// When it happened, where the callback says so plausibly.
    pub occurred_at: Option<Timestamp>,
    /// Who did it, where the callback says so.
    pub operator: Option<Cow<'a, str>>,
    /// The group's type, where the callback says so, verbatim.
    pub group_type: Option<Cow<'a, str>>,
    /// What changed, under its neutral names. An untouched field is not there; a cleared one is the empty text.
    pub details: Vec<(Cow<'static, str>, Detail<'a>)>,
    /// Where the request for the change came from: `client_ip`, `client_platform`, `operation_id`.
    #[serde(with = "crate::domain::pairs")]
    pub source: Vec<(Cow<'static, str>, Cow<'a, str>)>,
    /// What besides command and body tells this callback from another one; empty where the platform sends no such thing.
    pub identity: Cow<'a, str>,
}

/// The value of one changed field.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Detail<'a> {
    /// A text; empty where the field was cleared.
    Text(Cow<'a, str>),
    /// A number, in decimal notation.
    Number(String),
    /// A truth value.
    Flag(bool),
    /// Named without a value, as the keys of deleted attributes are.
    Nothing,
    /// Ids of users or topics.
    Ids(Vec<Cow<'a, str>>),
    /// Values by key: custom fields, attributes.
    Map(Vec<(Cow<'a, str>, Detail<'a>)>),
}
