//! Gaps: what a history proves to be missing. `docs/reading.md` says what each may mean.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::timestamp::Timestamp;

/// The most gaps of one kind that are told; the others are counted.
const MAX_GAPS: usize = 100;

/// What is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum GapKind {
    /// The history has no creation, and retention does not explain it.
    NoCreation,
    /// The owner that a change replaces, or that a dismissal names, is not the one that is known.
    OwnerMismatch,
    /// Something changed after the dismissal.
    ChangeAfterDismissal,
    /// The group was created a second time without a dismissal in between.
    CreatedTwice,
    /// Somebody left, was changed, or was there at the dismissal, who is no member.
    MemberUnknown,
    /// Somebody joined who is a member.
    MemberKnown,
}

impl GapKind {
    const fn is_of_members(self) -> bool {
        matches!(self, Self::MemberUnknown | Self::MemberKnown)
    }
}

/// One gap, and the change that proves it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Gap {
    /// What is missing.
    pub kind: GapKind,
    /// The change that proves it; what is missing happened before it.
    pub change_key: String,
    /// When that change happened, in RFC 3339.
    #[schema(value_type = String, format = DateTime)]
    pub occurred_at: Timestamp,
    /// What the change would have to say by the history before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// What it says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
}

/// The gaps of a history.
#[derive(Clone, Debug, Default)]
pub(super) struct Gaps {
    of_kind: BTreeMap<GapKind, (u64, Vec<Gap>)>,
}

impl Gaps {
    pub(super) fn add(&mut self, gap: Gap) {
        let (count, gaps) = self.of_kind.entry(gap.kind).or_default();
        *count += 1;
        if gaps.len() < MAX_GAPS {
            gaps.push(gap);
        }
    }

    /// Whether some are proved only where every joining and leaving is told.
    pub(super) fn has_members(&self) -> bool {
        self.of_kind.keys().any(|kind| kind.is_of_members())
    }

    /// Leaves those out.
    pub(super) fn without_members(mut self) -> Self {
        self.of_kind.retain(|kind, _| !kind.is_of_members());
        self
    }

    /// The gaps in the order of their changes, and how many there are of each kind.
    pub(super) fn into_sorted(self) -> (Vec<Gap>, BTreeMap<GapKind, u64>) {
        let counts = self.of_kind.iter().map(|(kind, (count, _))| (*kind, *count)).collect();
        let mut gaps: Vec<Gap> = self.of_kind.into_values().flat_map(|(_, gaps)| gaps).collect();
        gaps.sort_by(|one, other| (&one.change_key, one.kind).cmp(&(&other.change_key, other.kind)));
        (gaps, counts)
    }
}
