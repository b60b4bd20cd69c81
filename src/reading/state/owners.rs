//! Changes of the owner: in which order they chain.

use crate::reading::state::group::Event;

/// The last changes of the owner that are within the window of one another.
#[derive(Debug, Default)]
pub(super) struct Owners {
    /// When each happened, and whom it made the owner.
    new: Vec<(i64, Option<String>)>,
    /// Whether one of them does not chain, or nobody knows with which owner they begin: their order is not known then.
    is_broken: bool,
}

impl Owners {
    pub(super) fn add(&mut self, event: &Event, follows: bool, window: i64) {
        let at = event.at.unix_millis();
        self.new.retain(|(other, _)| (at - other).abs() <= window);
        self.is_broken &= !self.new.is_empty();
        self.is_broken |= !follows;
        self.new.push((at, event.text("new_owner").map(str::to_owned)));
    }

    /// Whether some order of them ends with this owner.
    pub(super) fn can_end_with(&self, owner: &str) -> bool {
        self.is_broken && self.new.iter().any(|(_, new)| new.as_deref() == Some(owner))
    }
}

/// The order of changes of the owner, each from an old one to a new one, with the fewest mismatches: their number, and the first.
/// Empty and unknown owners mismatch nothing.
pub(super) fn best_order(may_own: &dyn Fn(&str) -> bool, links: &[(Option<&str>, Option<&str>)]) -> (usize, usize) {
    let mut best = (usize::MAX, 0);
    for (index, (old, new)) in links.iter().enumerate() {
        let is_mismatch = old.is_some_and(|old| !may_own(old));
        let mut rest = links.to_vec();
        rest.remove(index);
        let may_own_then = |old: &str| new.is_none_or(|new| new == old);
        let following = if rest.is_empty() { 0 } else { best_order(&may_own_then, &rest).0 };
        let mismatches = usize::from(is_mismatch) + following;
        if mismatches < best.0 {
            best = (mismatches, index);
        }
        if best.0 == 0 {
            break;
        }
    }
    best
}
