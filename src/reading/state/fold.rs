//! The fold: puts a group's records into the order of the events, applies them, and looks for gaps.
//!
//! The records' order is not always the events': OpenIM's workers swap two, a creation may come late, and within a millisecond a
//! digest decides. So within the platform's window W of each other a creation comes first, a dismissal last, and changes of the owner
//! follow one another where they chain. A change waits until everything within W of it has been read, so that folding page by page is
//! folding at once. A gap is one only if it stands in every such order.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use crate::domain::change::Kind;
use crate::domain::timestamp::Timestamp;
use crate::reading::change::Change;
use crate::reading::state::gaps::{Gap, GapKind, Gaps};
use crate::reading::state::group::{Event, Group, Member, Previous};
use crate::reading::state::{GroupKey, MAX_MEMBERS, State, Status};
use crate::storage::item::Details;

/// The most changes that wait for others; beyond it the oldest is applied, in the order of the records.
const MAX_WAITING: usize = 20_000;
/// The most changes of the owner of which every order is tried.
const MAX_CHAIN: usize = 6;

/// Where a change is applied: a time, what comes first at that time, and the change's key.
type Place = (i64, u8, String);

/// A fold of one group's records.
#[derive(Debug)]
pub struct Fold {
    key: GroupKey,
    /// The window W, in milliseconds.
    window: i64,
    now: Timestamp,
    waiting: BTreeMap<Place, Event>,
    /// The latest time that was read.
    newest: i64,
    group: Group,
    gaps: Gaps,
    /// Memberships that a swapped pair has decided already: the later record's key, and the member.
    decided: HashSet<(String, String)>,
    /// Who left, and when, as far back as the window.
    left: HashMap<String, i64>,
    owners: Owners,
    retention: Retention,
    has_creation: bool,
    joins: bool,
    leaves: bool,
    /// The first change of a group, which a quota's alarm is not.
    first: Option<(String, Timestamp, &'static str)>,
    changes: u64,
    keys: Option<(String, String)>,
    /// The changes whose previous values are wanted, and those that are known.
    wanted: HashSet<String>,
    previous: HashMap<String, Details>,
}

/// What retention may have deleted.
#[derive(Debug, Default)]
struct Retention {
    /// Whether a record expires.
    is_on: bool,
    /// When the last record was received that does not expire.
    last_kept: Option<Timestamp>,
}

impl Retention {
    /// Whether records between the one before and this one may have been deleted: the earlier do not expire, later ones did.
    fn breaks(&mut self, event: &Event, now: Timestamp) -> bool {
        let Some(expires_at) = event.expires_at else {
            self.last_kept = Some(event.received_at);
            return false;
        };
        self.is_on = true;
        let kept_since = now.unix_seconds() - (expires_at - event.received_at.unix_seconds());
        self.last_kept.take().is_some_and(|last| last.unix_seconds() < kept_since)
    }
}

/// The last changes of the owner that are within the window of one another.
#[derive(Debug, Default)]
struct Owners {
    /// When each happened, and whom it made the owner.
    new: Vec<(i64, Option<String>)>,
    /// Whether one of them does not chain, so that their order is not known.
    is_broken: bool,
}

impl Owners {
    fn add(&mut self, event: &Event, is_mismatch: bool, window: i64) {
        let at = event.at.unix_millis();
        self.new.retain(|(other, _)| (at - other).abs() <= window);
        self.is_broken &= !self.new.is_empty();
        self.is_broken |= is_mismatch;
        self.new.push((at, event.text("new_owner").map(str::to_owned)));
    }

    /// Whether some order of them ends with this owner.
    fn may_be(&self, owner: &str) -> bool {
        self.is_broken && self.new.iter().any(|(_, new)| new.as_deref() == Some(owner))
    }
}

impl Fold {
    /// A fold of `key`'s records as they are at `now`: those that have expired are gone, whether deleted yet or not.
    #[must_use]
    pub fn new(key: GroupKey, now: Timestamp) -> Self {
        Self {
            window: millis(key.platform.evidence.window),
            key,
            now,
            waiting: BTreeMap::new(),
            newest: i64::MIN,
            group: Group::default(),
            gaps: Gaps::default(),
            decided: HashSet::new(),
            left: HashMap::new(),
            owners: Owners::default(),
            retention: Retention::default(),
            has_creation: false,
            joins: false,
            leaves: false,
            first: None,
            changes: 0,
            keys: None,
            wanted: HashSet::new(),
            previous: HashMap::new(),
        }
    }

    /// The key of the group.
    #[must_use]
    pub fn group_key(&self) -> &str {
        &self.key.group_key
    }

    /// The platform and the id of the group's app.
    #[must_use]
    pub fn app(&self) -> (&str, &str) {
        (self.key.platform.name, &self.key.app_id)
    }

    /// Keeps what was before these changes.
    #[must_use]
    pub fn with_previous_of(mut self, change_keys: impl IntoIterator<Item = String>) -> Self {
        self.wanted.extend(change_keys);
        self
    }

    /// Adds a record, in the order of their keys, or as far out of it as the window.
    pub fn add(&mut self, change: Change) {
        let event = Event::from(change);
        let at = event.at.unix_millis();
        let is_gone = event.expires_at.is_some_and(|at| at <= self.now.unix_seconds());
        // What is older than the window has been applied, and comes a second time.
        if is_gone || at < self.newest.saturating_sub(self.window) {
            return;
        }
        self.newest = self.newest.max(at);
        let (at, rank) = match event.kind {
            Some(Kind::GroupCreated) => (at - self.window, 0),
            Some(Kind::GroupDismissed) => (at + self.window, 2),
            _ => (at, 1),
        };
        self.waiting.insert((at, rank, event.key.clone()), event);
        while let Some(((at, ..), _)) = self.waiting.first_key_value()
            && (*at < self.newest - 2 * self.window || self.waiting.len() > MAX_WAITING)
        {
            self.step();
        }
    }

    /// Whether what was before some change is not known yet.
    #[must_use]
    pub fn wants_more(&self) -> bool {
        !self.wanted.is_empty()
    }

    /// What was before the changes that were asked for, as far as they were folded.
    #[must_use]
    pub fn into_previous(mut self) -> HashMap<String, Details> {
        self.apply_waiting();
        self.previous
    }

    /// The kinds of change that have to be found among the app's other groups for the members to be complete: none where this
    /// group's records have them, or where its members never are complete.
    pub fn kinds_to_find(&mut self) -> Vec<Kind> {
        self.apply_waiting();
        let may_be_complete = self.has_creation && self.tells_members();
        let missing = [(Kind::MemberJoined, self.joins), (Kind::MemberLeft, self.leaves)].into_iter();
        missing.filter(|(_, is_there)| may_be_complete && !is_there).map(|(kind, _)| kind).collect()
    }

    /// The state after all records that were added; `None` where there were none. `told` says whether the app's callbacks of
    /// joining and leaving are both switched on, by what the ledger has; `finished`, whether these are all records.
    #[must_use]
    pub fn finish(mut self, told: bool, finished: bool) -> Option<State> {
        self.apply_waiting();
        let (first_change_key, last_change_key) = self.keys.take()?;
        let tells_members = self.tells_members() && told;
        let Self { key, group, mut gaps, .. } = self;
        if let Some((change_key, occurred_at, found)) = self.first
            && !self.has_creation
            && !self.retention.is_on
        {
            let expected = Some(Kind::GroupCreated.as_str().to_owned());
            let found = Some(found.to_owned());
            gaps.add(Gap { kind: GapKind::NoCreation, change_key, occurred_at, expected, found });
        }
        let (gaps, gap_counts) = if tells_members { gaps } else { gaps.without_members() }.told();
        let complete = group.created.is_some();
        let members_total = group.members.len();
        Some(State {
            group_key: key.group_key,
            platform: key.platform.name.to_owned(),
            app_id: key.app_id,
            group_id: key.group_id,
            status: if group.dismissed.is_some() { Status::Dismissed } else { Status::Active },
            complete,
            members_complete: complete && tells_members && !group.is_broken,
            created: group.created,
            dismissed: group.dismissed,
            changes: self.changes,
            first_change_key,
            last_change_key,
            finished,
            fields: group.fields,
            custom_fields: group.custom_fields,
            attributes: group.attributes,
            members: group.members.into_iter().take(MAX_MEMBERS).collect(),
            members_total,
            topics: group.topics,
            gaps,
            gap_counts,
        })
    }

    /// The members after all records that were added, however many.
    #[must_use]
    pub fn members(&mut self) -> &BTreeMap<String, Member> {
        self.apply_waiting();
        &self.group.members
    }

    /// Applies everything that was added: nothing more comes.
    fn apply_waiting(&mut self) {
        while !self.waiting.is_empty() {
            self.step();
        }
    }

    fn tells_members(&self) -> bool {
        self.group.group_type().is_some_and(|own| self.key.platform.evidence.types_with_all_members.contains(&own))
    }

    /// Applies the next change, or one that has to come before it.
    fn step(&mut self) {
        let Some(((place, ..), event)) = self.waiting.pop_first() else { return };
        match event.kind {
            Some(Kind::GroupCreated) if self.group.is_alive() => {
                let dismissals = self.dismissals_before(&event);
                if place < event.at.unix_millis() && !dismissals.is_empty() {
                    // It begins a new life, so that it does not come before what happened in the old one.
                    self.waiting.insert((event.at.unix_millis(), 0, event.key.clone()), event);
                    return;
                }
                for place in dismissals {
                    if let Some(dismissal) = self.waiting.remove(&place) {
                        self.apply(dismissal);
                    }
                }
                self.apply(event);
            }
            Some(Kind::GroupDismissed) => {
                self.apply(event);
                self.advance_creations();
            }
            Some(Kind::GroupOwnerChanged) => {
                let event = self.first_of_chain(event);
                self.apply(event);
            }
            _ => self.apply(event),
        }
    }

    /// The waiting dismissals within the window of a second creation that it must have followed: those recorded before it, or else
    /// the first one after it.
    fn dismissals_before(&self, creation: &Event) -> Vec<Place> {
        let at = creation.at.unix_millis();
        let near = |event: &Event| (event.at.unix_millis() - at).abs() <= self.window;
        let places = self.waiting.iter().filter(|(_, event)| event.kind == Some(Kind::GroupDismissed) && near(event));
        let (before, after): (Vec<_>, Vec<_>) = places.partition(|(_, event)| event.at.unix_millis() <= at);
        let places = if before.is_empty() { after.into_iter().take(1).collect() } else { before };
        places.into_iter().map(|(place, _)| place.clone()).collect()
    }

    /// Lets creations that waited for a dismissal come before all within the window of them again.
    fn advance_creations(&mut self) {
        let is_late = |(place, event): &(&Place, &Event)| {
            event.kind == Some(Kind::GroupCreated) && place.0 == event.at.unix_millis()
        };
        let late: Vec<Place> = self.waiting.iter().filter(is_late).map(|(place, _)| place.clone()).collect();
        for place in late {
            if let Some(event) = self.waiting.remove(&place) {
                self.waiting.insert((place.0 - self.window, place.1, place.2), event);
            }
        }
    }

    /// Of the changes of the owner within the window of `event`, the one that comes first in the order with the fewest mismatches,
    /// and among such orders in that nearest to the records'. The others go on waiting.
    fn first_of_chain(&mut self, event: Event) -> Event {
        let until = event.at.unix_millis() + self.window;
        let others = self.waiting.range(..=(until, u8::MAX, String::new()));
        let others: Vec<Place> = others
            .filter(|(_, other)| other.kind == Some(Kind::GroupOwnerChanged))
            .map(|(place, _)| place.clone())
            .take(MAX_CHAIN - 1)
            .collect();
        if others.is_empty() {
            return event;
        }
        let ends =
            |event: &Event| (event.text("old_owner").map(str::to_owned), event.text("new_owner").map(str::to_owned));
        let links: Vec<_> = [ends(&event)]
            .into_iter()
            .chain(others.iter().filter_map(|place| self.waiting.get(place).map(ends)))
            .collect();
        let links: Vec<(Option<&str>, Option<&str>)> =
            links.iter().map(|(old, new)| (old.as_deref(), new.as_deref())).collect();
        let owner = self.group.owner();
        let may_own = |old: &str| owner.is_none_or(|owner| owner == old) || self.owners.may_be(old);
        let (_, first) = best_order(&may_own, &links);
        let chosen = first.checked_sub(1).and_then(|other| others.get(other));
        let Some(chosen) = chosen.and_then(|place| self.waiting.remove(place)) else { return event };
        self.waiting.insert((event.at.unix_millis(), 1, event.key.clone()), event);
        chosen
    }

    /// Applies a change, and adds the gaps that it proves.
    fn apply(&mut self, event: Event) {
        if self.retention.breaks(&event, self.now) {
            (self.group.is_broken, self.group.is_owner_doubtful) = (true, true);
        }
        self.changes += 1;
        let (first, last) = self.keys.get_or_insert_with(|| (event.key.clone(), event.key.clone()));
        if event.key < *first {
            first.clone_from(&event.key);
        }
        if event.key > *last {
            last.clone_from(&event.key);
        }
        if let Some(kind) = event.kind.filter(|kind| kind.has_group()) {
            let is_first = self.first.as_ref().is_none_or(|(key, ..)| event.key < *key);
            if is_first {
                self.first = Some((event.key.clone(), event.at, kind.as_str()));
            }
        }
        self.look_for_gaps(&event);
        let mut previous = if self.wanted.remove(&event.key) { Previous::wanted() } else { Previous::default() };
        match event.kind {
            Some(Kind::MemberJoined) => self.join(&event),
            Some(Kind::MemberLeft) => self.leave(&event),
            Some(Kind::MemberChanged) if self.is_about_who_left(&event) => {}
            _ => self.group.apply(&event, &mut previous),
        }
        self.has_creation |= event.kind == Some(Kind::GroupCreated);
        let previous = previous.into_details();
        if !previous.is_empty() {
            self.previous.insert(event.key, previous);
        }
    }

    fn gap(&mut self, kind: GapKind, event: &Event, expected: Option<&str>, found: Option<&str>) {
        self.gaps.add(Gap {
            kind,
            change_key: event.key.clone(),
            occurred_at: event.at,
            expected: expected.map(str::to_owned),
            found: found.map(str::to_owned),
        });
    }

    /// Whether a creation waits within the window of a change, which may be of the group's new life.
    fn may_be_of_next_life(&self, event: &Event) -> bool {
        let until = event.at.unix_millis() + self.window;
        let near = self.waiting.range(..=(until, u8::MAX, String::new()));
        near.into_iter().any(|(_, other)| other.kind == Some(Kind::GroupCreated))
    }

    /// Adds the gaps that a change proves, but for those of members.
    fn look_for_gaps(&mut self, event: &Event) {
        let Some(kind) = event.kind else { return };
        if kind == Kind::GroupCreated
            && let Some(created) = self.group.created.clone()
            && self.group.is_alive()
            && !self.group.is_broken
        {
            self.gap(GapKind::CreatedTwice, event, Some(&created.change_key), Some(&event.key));
        }
        let says = match kind {
            Kind::GroupOwnerChanged => event.text("old_owner"),
            // What a dismissal and a change of the owner within the window say may be of either order.
            Kind::GroupDismissed => event.text("owner").filter(|_| !self.owner_is_younger_than_window(event)),
            _ => None,
        };
        let owner = self.group.owner().map(str::to_owned);
        let mismatch = says.zip(owner.as_deref()).filter(|(says, owner)| says != owner);
        if let Some((says, owner)) = mismatch
            && !self.group.is_owner_doubtful
            && !self.owners.may_be(says)
            && !self.is_crowded(event)
            && !self.may_be_of_next_life(event)
        {
            self.gap(GapKind::OwnerMismatch, event, Some(owner), Some(says));
        }
        if kind == Kind::GroupOwnerChanged {
            self.owners.add(event, mismatch.is_some(), self.window);
        }
        let can_follow_a_dismissal = matches!(
            kind,
            Kind::GroupCreated
                | Kind::GroupDismissed
                | Kind::GroupUnknown
                | Kind::MemberStateChanged
                | Kind::TopicCreated
                | Kind::TopicInfoChanged
                | Kind::TopicDismissed
        );
        if let Some(dismissed) = self.group.dismissed.clone()
            && event.at.unix_millis() > dismissed.since.unix_millis() + self.window
            && !can_follow_a_dismissal
            && !self.group.is_broken
            && !self.may_be_of_next_life(event)
        {
            self.gap(GapKind::ChangeAfterDismissal, event, Some(&dismissed.change_key), Some(kind.as_str()));
        }
    }

    fn owner_is_younger_than_window(&self, event: &Event) -> bool {
        let since = self.group.fields.get("owner").map(|owner| owner.origin.since.unix_millis());
        since.is_some_and(|since| (event.at.unix_millis() - since).abs() <= self.window)
    }

    /// Whether more changes of the owner wait within the window of one than are put into order.
    fn is_crowded(&self, event: &Event) -> bool {
        let until = event.at.unix_millis() + self.window;
        let near = self.waiting.range(..=(until, u8::MAX, String::new()));
        near.filter(|(_, other)| other.kind == Some(Kind::GroupOwnerChanged)).count() >= MAX_CHAIN
    }

    /// Whether every joining and leaving up to now was told, if the app's callbacks are switched on.
    fn knows_members(&self) -> bool {
        self.group.is_alive() && !self.group.is_broken && self.tells_members()
    }

    fn join(&mut self, event: &Event) {
        self.joins = true;
        for member in event.ids("members") {
            let member = member.as_ref();
            if self.decided.remove(&(event.key.clone(), member.to_owned())) {
                continue;
            }
            let is_known = self.group.members.get(member).is_some_and(|known| known.since.is_some());
            // Of somebody who is a member, the leaving comes first.
            if is_known {
                if self.decide(Kind::MemberLeft, member, event) {
                    self.group.leave(member);
                } else if self.knows_members() && !self.may_be_of_next_life(event) {
                    self.gap(GapKind::MemberKnown, event, None, Some(member));
                }
            }
            self.group.join(member, event, event.text("how"));
        }
    }

    fn leave(&mut self, event: &Event) {
        self.leaves = true;
        let at = event.at.unix_millis();
        if self.left.len() > MAX_WAITING {
            self.left.retain(|_, left| *left >= at - self.window);
        }
        for member in event.ids("members") {
            let member = member.as_ref();
            if self.decided.remove(&(event.key.clone(), member.to_owned())) {
                continue;
            }
            let is_known = self.group.members.contains_key(member);
            // Of somebody who is no member, the joining comes first; where not all joinings are told, that cannot be known.
            if !is_known
                && self.knows_members()
                && !self.decide(Kind::MemberJoined, member, event)
                && !self.may_be_of_next_life(event)
            {
                self.gap(GapKind::MemberUnknown, event, None, Some(member));
            }
            self.group.leave(member);
            self.left.insert(member.to_owned(), at);
        }
    }

    /// Whether a change of a member is of somebody who left within the window of it, so that it came before.
    fn is_about_who_left(&mut self, event: &Event) -> bool {
        let Some(member) = event.text("member") else { return false };
        if self.group.members.contains_key(member) {
            return false;
        }
        if self.left.get(member).is_some_and(|left| event.at.unix_millis() - left <= self.window) {
            return true;
        }
        if self.knows_members()
            && self.near(Kind::MemberJoined, member, event).is_none()
            && !self.may_be_of_next_life(event)
        {
            self.gap(GapKind::MemberUnknown, event, None, Some(member));
        }
        false
    }

    /// Decides that a record of `kind` about `member`, within the window after `event`, came before it; whether there is one.
    fn decide(&mut self, kind: Kind, member: &str, event: &Event) -> bool {
        let near = self.near(kind, member, event);
        near.is_some_and(|key| self.decided.insert((key, member.to_owned())))
    }

    /// The first record of `kind` about `member` that waits within the window of `event` and is not decided.
    fn near(&self, kind: Kind, member: &str, event: &Event) -> Option<String> {
        let until = event.at.unix_millis() + self.window;
        let near = self.waiting.range(..=(until, u8::MAX, String::new()));
        let mut near = near.filter(|(_, other)| other.kind == Some(kind)).map(|(_, other)| other);
        let is_it = |other: &&Event| {
            other.ids("members").iter().any(|id| id == member)
                && !self.decided.contains(&(other.key.clone(), member.to_owned()))
        };
        near.find(is_it).map(|other| other.key.clone())
    }
}

/// The order of changes of the owner, each from an old one to a new one, with the fewest mismatches: their number, and the first.
/// Empty and unknown owners mismatch nothing.
fn best_order(may_own: &dyn Fn(&str) -> bool, links: &[(Option<&str>, Option<&str>)]) -> (usize, usize) {
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

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
