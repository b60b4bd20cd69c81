//! What each kind of change does to a group. Pure; a function a kind.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::change::{Detail, Kind};
use crate::domain::timestamp::Timestamp;
use crate::reading::change::{Change, PlainValue};
use crate::storage::item::Details;

/// The fields of a group's profile that a change of it can set. Counters and times stay in the history.
pub const FIELDS: [&str; 8] = [
    "name",
    "introduction",
    "notification",
    "face_url",
    "ex",
    "need_verification",
    "look_member_info",
    "apply_member_friend",
];
/// The fields of a topic.
const TOPIC_FIELDS: [&str; 6] = ["name", "owner", "introduction", "notification", "face_url", "custom_fields"];
/// The fields of a member.
const MEMBER_FIELDS: [&str; 4] = ["role", "nickname", "face_url", "ex"];

/// The most members that are kept: an `AVChatRoom`'s audience joins, and does not always leave.
const MAX_KNOWN_MEMBERS: usize = 200_000;

const OWNER: &str = "owner";
const GROUP_TYPE: &str = "group_type";
const CUSTOM_FIELDS: &str = "custom_fields";
const ATTRIBUTES: &str = "attributes";

/// Values by name.
pub type Values = BTreeMap<String, FieldValue>;

/// A value, and where it comes from.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct FieldValue {
    /// The value, as the platform sent it.
    #[schema(value_type = Value)]
    pub value: PlainValue,
    /// Since when, and by what.
    #[serde(flatten)]
    pub origin: Origin,
}

/// The change that something comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Origin {
    /// When it happened, in RFC 3339.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
    /// The change's key.
    pub change_key: String,
    /// Who did it, where the callback says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operator: Option<String>,
}

/// A member.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Member {
    /// Since when, in RFC 3339; null where the joining is not in the history.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub since: Option<Timestamp>,
    /// How: `created` with the group, `apply`, `invited`, or as the platform says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub how: Option<String>,
    /// The change that made them a member, or the first that shows them to be one.
    pub change_key: String,
    /// Who did that, where the callback says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operator: Option<String>,
    /// `role`, `nickname`, `face_url`, `ex`, as far as they are known.
    #[serde(flatten)]
    #[schema(value_type = BTreeMap<String, Value>)]
    pub fields: BTreeMap<&'static str, PlainValue>,
}

/// A change, as far as folding needs it.
#[derive(Clone, Debug)]
pub struct Event {
    /// The change's key.
    pub key: String,
    /// When it happened.
    pub at: Timestamp,
    /// When it was received.
    pub received_at: Timestamp,
    /// What happened; `None` where a later version has a word for it.
    pub kind: Option<Kind>,
    /// Who did it.
    pub operator: Option<String>,
    /// The group's type.
    pub group_type: Option<String>,
    /// What changed.
    pub details: Details,
    /// Whether that is known: an item may have no room for it, and a part of the body may be missing.
    pub has_details: bool,
    /// When the record may be deleted, in seconds since 1970.
    pub expires_at: Option<i64>,
}

impl From<Change> for Event {
    fn from(change: Change) -> Self {
        Self {
            key: change.change_key,
            at: change.occurred_at,
            received_at: change.received_at,
            kind: Kind::try_from(change.kind).ok(),
            operator: change.operator,
            group_type: change.group_type,
            has_details: change.change.is_some(),
            details: change.change.map(|change| change.0).unwrap_or_default(),
            expires_at: change.expires_at,
        }
    }
}

impl Event {
    /// The value of a field.
    pub(crate) fn detail(&self, name: &str) -> Option<&Detail<'static>> {
        self.details.iter().find(|(own, _)| own == name).map(|(_, detail)| detail)
    }

    /// The text of a field; `None` where it is empty or no text.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        match self.detail(name)? {
            Detail::Text(text) if !text.is_empty() => Some(text),
            _ => None,
        }
    }

    /// The ids that a field lists.
    pub(crate) fn ids(&self, name: &str) -> &[Cow<'static, str>] {
        match self.detail(name) {
            Some(Detail::Ids(ids)) => ids,
            _ => &[],
        }
    }

    /// The members that it is about, each once.
    pub(crate) fn members(&self) -> BTreeSet<&str> {
        self.ids("members").iter().map(AsRef::as_ref).collect()
    }

    /// The pairs of a field.
    fn pairs(&self, name: &str) -> &[(Cow<'static, str>, Detail<'static>)] {
        match self.detail(name) {
            Some(Detail::Map(map)) => map,
            _ => &[],
        }
    }

    fn origin(&self) -> Origin {
        Origin { since: self.at, change_key: self.key.clone(), operator: self.operator.clone() }
    }

    fn value(&self, detail: &Detail<'static>) -> FieldValue {
        FieldValue { value: PlainValue(detail.clone()), origin: self.origin() }
    }
}

/// What the fields that a change sets were before; kept only where it is wanted.
#[derive(Debug, Default)]
pub struct Previous(Option<Details>);

impl Previous {
    /// One that keeps what it is told.
    #[must_use]
    pub fn wanted() -> Self {
        Self(Some(Details::new()))
    }

    /// What it was told.
    #[must_use]
    pub fn into_details(self) -> Details {
        self.0.unwrap_or_default()
    }

    fn record_old(&mut self, name: &'static str, old: Option<&PlainValue>) {
        if let (Some(details), Some(old)) = (&mut self.0, old) {
            details.push((Cow::Borrowed(name), old.0.clone()));
        }
    }

    /// As [`record_old`](Self::record_old), of a value in a map.
    fn record_old_in(&mut self, map: &'static str, name: &str, old: Option<&PlainValue>) {
        let (Some(details), Some(old)) = (&mut self.0, old) else { return };
        let pair = (Cow::Owned(name.to_owned()), old.0.clone());
        match details.iter_mut().find(|(own, _)| own == map) {
            Some((_, Detail::Map(pairs))) => pairs.push(pair),
            _ => details.push((Cow::Borrowed(map), Detail::Map(vec![pair]))),
        }
    }
}

/// A group, by the changes that were folded.
#[derive(Clone, Debug, Default)]
pub struct Group {
    pub(super) created: Option<Origin>,
    pub(super) dismissed: Option<Origin>,
    pub(super) fields: Values,
    pub(super) custom_fields: Values,
    pub(super) attributes: Values,
    pub(super) members: BTreeMap<String, Member>,
    pub(super) topics: BTreeMap<String, Values>,
    /// Whether it changed since its creation or the last dismissal, so that it exists.
    pub(super) is_seen: bool,
    pub(super) doubts: Doubts,
}

/// What may be wrong, without proof.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Doubts {
    /// Changes may be missing: retention may have deleted them, a body cannot be had, or nobody can tell which life is which.
    pub(super) history: bool,
    /// Members may be missing, or too many: a change of them may be of another life, or there are more than are kept.
    pub(super) members: bool,
    /// The owner may be another one.
    pub(super) owner: bool,
}

impl Group {
    /// Its owner, where it is known.
    #[must_use]
    pub fn owner(&self) -> Option<&str> {
        self.text(OWNER)
    }

    /// Its type, where it is known.
    #[must_use]
    pub fn group_type(&self) -> Option<&str> {
        self.text(GROUP_TYPE)
    }

    fn text(&self, name: &str) -> Option<&str> {
        match &self.fields.get(name)?.value.0 {
            Detail::Text(text) if !text.is_empty() => Some(text),
            _ => None,
        }
    }

    /// Whether it was created and not dismissed since.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.created.is_some() && self.dismissed.is_none()
    }

    /// Applies a change. Members who join or leave are the fold's to decide.
    pub fn apply(&mut self, event: &Event, previous: &mut Previous) {
        match event.kind {
            Some(Kind::GroupCreated) => self.create(event),
            Some(Kind::GroupInfoChanged) => self.set_info(event, previous),
            Some(Kind::GroupOwnerChanged) => self.change_owner(event, previous),
            Some(Kind::GroupAttributesChanged) => self.change_attributes(event, previous),
            Some(Kind::GroupDismissed) => self.dismiss(event),
            Some(Kind::MemberChanged) => self.change_member(event, previous),
            Some(Kind::TopicCreated | Kind::TopicInfoChanged) => self.change_topic(event, previous),
            Some(Kind::TopicDismissed) => {
                for topic in event.ids("topic_ids") {
                    self.topics.remove(topic.as_ref());
                }
            }
            Some(
                Kind::GroupFull
                | Kind::GroupUnknown
                | Kind::MemberJoined
                | Kind::MemberLeft
                | Kind::MemberStateChanged
                | Kind::AppGroupQuotaAlarm,
            )
            | None => {}
        }
    }

    /// Records what every change shows: that the group exists, its type, and whether the change itself is known.
    pub fn see(&mut self, event: &Event) {
        self.is_seen = match event.kind {
            Some(Kind::GroupDismissed) => false,
            // What can follow a dismissal does not show that the group exists.
            Some(kind) if kind.requires_group_id() => self.is_seen || self.dismissed.is_none(),
            _ => self.is_seen,
        };
        if !event.has_details {
            self.doubt();
        }
        if let Some(group_type) = &event.group_type
            && self.group_type() != Some(group_type)
        {
            let group_type = event.value(&Detail::Text(Cow::Owned(group_type.clone())));
            self.fields.insert(GROUP_TYPE.to_owned(), group_type);
        }
    }

    /// Marks all as doubtful: changes may be missing that nobody can prove.
    pub fn doubt(&mut self) {
        self.doubts = Doubts { history: true, members: true, owner: true };
    }

    /// Marks members and owner as doubtful.
    pub fn doubt_people(&mut self) {
        self.doubts = Doubts { members: true, owner: true, ..self.doubts };
    }

    /// Begins a new life: nothing of an earlier one is left.
    fn create(&mut self, event: &Event) {
        *self = Self { created: Some(event.origin()), ..Self::default() };
        let nothing = &mut Previous::default();
        self.set_info(event, nothing);
        self.set_owner(event, event.text(OWNER));
        let owner = event.text(OWNER).into_iter();
        for member in owner.chain(event.ids("members").iter().map(AsRef::as_ref)) {
            self.join(member, event, Some("created"));
        }
    }

    /// Sets the fields that an event names, and merges its custom fields.
    fn set_info(&mut self, event: &Event, previous: &mut Previous) {
        for (field, detail) in FIELDS.iter().filter_map(|field| Some((*field, event.detail(field)?))) {
            let old = self.fields.insert(field.to_owned(), event.value(detail));
            previous.record_old(field, old.as_ref().map(|old| &old.value));
        }
        for (key, detail) in event.pairs(CUSTOM_FIELDS) {
            let old = self.custom_fields.insert(key.to_string(), event.value(detail));
            previous.record_old_in(CUSTOM_FIELDS, key, old.as_ref().map(|old| &old.value));
        }
    }

    fn change_owner(&mut self, event: &Event, previous: &mut Previous) {
        previous.record_old(OWNER, self.fields.get(OWNER).map(|owner| &owner.value));
        self.set_owner(event, event.text("new_owner"));
    }

    fn set_owner(&mut self, event: &Event, owner: Option<&str>) {
        self.doubts.owner = false;
        match owner {
            Some(owner) => {
                let owner = event.value(&Detail::Text(Cow::Owned(owner.to_owned())));
                self.fields.insert(OWNER.to_owned(), owner);
            }
            None => {
                self.fields.remove(OWNER);
            }
        }
    }

    /// By the operation: `set` replaces all, `modify` sets the named, `delete` removes the named, `clear` removes all. Without
    /// one the named are set; another one is not understood. <https://www.tencentcloud.com/document/product/1047/60394>
    fn change_attributes(&mut self, event: &Event, previous: &mut Previous) {
        let pairs = event.pairs(ATTRIBUTES);
        let operation = event.text("operation").unwrap_or("modify").to_ascii_lowercase();
        let is_named = |key: &str| pairs.iter().any(|(name, _)| name == key);
        match operation.as_str() {
            "set" | "clear" => {
                for (key, old) in &self.attributes {
                    previous.record_old_in(ATTRIBUTES, key, Some(&old.value));
                }
                self.attributes.clear();
            }
            "delete" => self.attributes.retain(|key, old| {
                if is_named(key) {
                    previous.record_old_in(ATTRIBUTES, key, Some(&old.value));
                }
                !is_named(key)
            }),
            _ => {}
        }
        if operation == "set" || operation == "modify" {
            for (key, detail) in pairs {
                let old = self.attributes.insert(key.to_string(), event.value(detail));
                previous.record_old_in(ATTRIBUTES, key, old.as_ref().map(|old| &old.value));
            }
        }
    }

    /// What a dismissal says of the group is evidence: it counts where it differs from what was known.
    fn dismiss(&mut self, event: &Event) {
        self.dismissed.get_or_insert_with(|| event.origin());
        if let Some(name) = event.detail("name")
            && self.fields.get("name").is_none_or(|known| known.value.0 != *name)
        {
            self.fields.insert("name".to_owned(), event.value(name));
        }
        if event.text(OWNER).is_some() && event.text(OWNER) != self.owner() {
            self.set_owner(event, event.text(OWNER));
        }
        // Neither platform says that the list of a large group is whole: who is not in it stays.
        for member in event.ids("members") {
            self.show(member, event);
        }
    }

    /// Makes a user a member.
    pub(super) fn join(&mut self, member: &str, event: &Event, how: Option<&str>) {
        if self.members.len() >= MAX_KNOWN_MEMBERS && !self.members.contains_key(member) {
            self.doubts.members = true;
            return;
        }
        let fields = self.members.get_mut(member).filter(|member| member.since.is_none());
        let joined = Member {
            since: Some(event.at),
            how: how.map(str::to_owned),
            change_key: event.key.clone(),
            operator: event.operator.clone(),
            // A change that was recorded before the joining is one of this membership.
            fields: fields.map(|shown| std::mem::take(&mut shown.fields)).unwrap_or_default(),
        };
        self.members.insert(member.to_owned(), joined);
    }

    /// Ends a membership; without an owner it is not known who owns the group.
    pub(super) fn leave(&mut self, member: &str) {
        self.members.remove(member);
        if self.owner() == Some(member) {
            self.fields.remove(OWNER);
        }
    }

    /// Takes a user for a member whose joining is not known.
    fn show(&mut self, member: &str, event: &Event) -> &mut Member {
        self.members.entry(member.to_owned()).or_insert_with(|| Member {
            since: None,
            how: None,
            change_key: event.key.clone(),
            operator: None,
            fields: BTreeMap::new(),
        })
    }

    fn change_member(&mut self, event: &Event, previous: &mut Previous) {
        let Some(member) = event.text("member") else { return };
        let member = self.show(member, event);
        for (field, detail) in MEMBER_FIELDS.iter().filter_map(|field| Some((*field, event.detail(field)?))) {
            let old = member.fields.insert(field, PlainValue(detail.clone()));
            previous.record_old(field, old.as_ref());
        }
    }

    /// Sets the fields of a topic. Without its id nothing is known of which.
    fn change_topic(&mut self, event: &Event, previous: &mut Previous) {
        let Some(topic) = event.text("topic_id") else { return };
        let topic = self.topics.entry(topic.to_owned()).or_default();
        for (field, detail) in TOPIC_FIELDS.iter().filter_map(|field| Some((*field, event.detail(field)?))) {
            let old = topic.get(field).map(|old| &old.value);
            previous.record_old(field, old);
            let detail = merged(old.map(|old| &old.0), detail);
            topic.insert(field.to_owned(), event.value(&detail));
        }
    }
}

/// A value that takes an older one's place; a map keeps what the newer one does not name.
fn merged(old: Option<&Detail<'static>>, new: &Detail<'static>) -> Detail<'static> {
    let (Some(Detail::Map(old)), Detail::Map(new)) = (old, new) else { return new.clone() };
    let kept = old.iter().filter(|(key, _)| !new.iter().any(|(own, _)| own == key));
    Detail::Map(kept.chain(new).cloned().collect())
}
