//! What of a state one answer has room for: Lambda's may have 6 MB, and base64 adds a third to the state.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::reading::format::json;
use crate::reading::state::gaps::Gap;
use crate::reading::state::group::{Member, Values};

/// The most members of a state; the route of the members has all.
const MAX_MEMBERS: usize = 5_000;
/// The most bytes of them.
const MAX_MEMBERS_BYTES: usize = 2_000_000;
/// The most bytes of all values together.
const MAX_VALUES_BYTES: usize = 2_000_000;
/// The most bytes of the gaps.
const MAX_GAPS_BYTES: usize = 400_000;

/// The first of the members, as many as there is room for.
pub(super) fn members(members: BTreeMap<String, Member>) -> BTreeMap<String, Member> {
    let mut room = Room(MAX_MEMBERS_BYTES);
    let fits = |(user, member): &(String, Member)| room.take(&(user, member));
    members.into_iter().take(MAX_MEMBERS).take_while(fits).collect()
}

/// The gaps that there is room for. Their counts tell of the others.
pub(super) fn gaps(mut gaps: Vec<Gap>) -> Vec<Gap> {
    let mut room = Room(MAX_GAPS_BYTES);
    gaps.retain(|gap| room.take(gap));
    gaps
}

/// Leaves out the values that there is no room for, and returns how many. The first maps get room first.
pub(super) fn omit<'v>(maps: impl Iterator<Item = &'v mut Values>) -> usize {
    let (mut room, mut omitted) = (Room(MAX_VALUES_BYTES), 0);
    for values in maps {
        let all = values.len();
        values.retain(|name, value| room.take(&(name, value)));
        omitted += all - values.len();
    }
    omitted
}

/// How many bytes are left.
struct Room(usize);

impl Room {
    /// Takes room for an item, which stands in a map or list; whether there was enough.
    fn take(&mut self, item: &impl Serialize) -> bool {
        let left = self.0.checked_sub(json(item).len());
        self.0 = left.unwrap_or(self.0);
        left.is_some()
    }
}
