//! The state of a group: its history folded. Every value says since when it holds, and by which change.
//!
//! [`fold`] puts the records into the order of the events and looks for [`gaps`]; [`group`] says what each kind of change does to a
//! group; `owners` and `retention` help the fold. These are pure. [`callbacks`] asks the feed which of an app's callbacks are switched on; [`read`] folds what the table has;
//! [`query`] answers for the API.

pub mod callbacks;
pub mod fold;
pub mod gaps;
pub mod group;
mod owners;
pub mod query;
pub mod read;
mod retention;
mod room;

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::timestamp::Timestamp;
use crate::reading::state::gaps::{Gap, GapKind};
use crate::reading::state::group::{Member, Origin, Values};

/// What is known of a group at a time.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct State {
    /// The group's key.
    pub group_key: String,
    /// The platform's name.
    pub platform: String,
    /// The app's id.
    pub app_id: String,
    /// The group's id, as the platform sent it.
    pub group_id: String,
    /// Whether the group exists.
    pub status: Status,
    /// Its creation, where the history has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<Origin>,
    /// Its dismissal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dismissed: Option<Origin>,
    /// Whether the history has the creation of the group's present life.
    pub complete: bool,
    /// How many changes were folded.
    pub changes: u64,
    /// The first of them.
    pub first_change_key: String,
    /// The last of them.
    pub last_change_key: String,
    /// Whether these are all; else the history was too long for one request, and the state is that after `last_change_key`.
    pub finished: bool,
    /// How many values of `fields`, `custom_fields`, `attributes` and `topics` were left out, because they have more than 2 MB
    /// together. The history has them.
    #[serde(skip_serializing_if = "is_zero")]
    pub values_omitted: usize,
    /// The profile: name, owner and the like, and the group's type.
    #[schema(value_type = BTreeMap<String, group::FieldValue>)]
    pub fields: Values,
    /// The app's own fields of the profile.
    #[schema(value_type = BTreeMap<String, group::FieldValue>)]
    pub custom_fields: Values,
    /// The app's own attributes.
    #[schema(value_type = BTreeMap<String, group::FieldValue>)]
    pub attributes: Values,
    /// The members that are known, at most 5,000 of them, and 2 MB.
    pub members: BTreeMap<String, Member>,
    /// How many members are known.
    pub members_total: usize,
    /// Whether these are all members: `complete`, and every joining and leaving was told and is of this life, unless a gap says
    /// otherwise.
    pub members_complete: bool,
    /// The fields of its topics.
    #[schema(value_type = BTreeMap<String, BTreeMap<String, group::FieldValue>>)]
    pub topics: BTreeMap<String, Values>,
    /// What the history proves to be missing: at most 100 of a kind, and 400 kB.
    pub gaps: Vec<Gap>,
    /// How many gaps of each kind there are.
    pub gap_counts: BTreeMap<GapKind, u64>,
}

/// Whether a group exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// As far as is known.
    Active,
    /// It was dismissed, and not created again. The rest of the state is the last one.
    Dismissed,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// The last key of a time: every key of that time is before it, and every later one after it.
pub(crate) fn end_of(at: Timestamp) -> String {
    format!("{at}$")
}
