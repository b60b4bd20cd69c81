//! The fold: puts a group's records into the order of the events, applies them, and looks for gaps.
//!
//! The records' order is not always the events': OpenIM's workers swap two, a creation may come late, and within a millisecond a
//! digest decides. So within the platform's window W of each other a creation comes first, a dismissal last, and changes of the owner
//! follow one another where they chain. A change waits until everything has been read that may come before it or explain it, so that
//! folding page by page is folding at once. A gap is one only if it stands in every such order.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use crate::domain::change::Kind;
use crate::domain::timestamp::Timestamp;
use crate::reading::change::Change;
use crate::reading::group_key::GroupKey;
use crate::reading::state::gaps::{Gap, GapKind, Gaps};
use crate::reading::state::group::{Doubts, Event, Group, Member, Previous};
use crate::reading::state::owners::{Owners, best_order};
use crate::reading::state::retention::Retention;
use crate::reading::state::{State, Status, room};
use crate::storage::item::Details;

/// The most changes that wait for others; beyond it the oldest is applied, in the order of the records.
const MAX_WAITING: usize = 20_000;
/// How many windows past a change are read before it is applied. A creation is applied one window early and looks two windows ahead,
/// and records arrive up to one window out of order.
const READ_AHEAD: i64 = 4;
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
    /// The last moment that counts, in milliseconds; what is later only explains what is before it.
    until: i64,
    waiting: BTreeMap<Place, Event>,
    /// What is later than `until`.
    later: Vec<Event>,
    /// The waiting joinings and leavings of each member: when, which of the two, and the change's key.
    waiting_members: HashMap<String, Vec<(i64, Kind, String)>>,
    /// The latest time that was read.
    newest: i64,
    group: Group,
    gaps: Gaps,
    /// Records that were applied early as the other half of a swapped pair: the record's key, and the member.
    resolved_swaps: HashSet<(String, String)>,
    /// When a member or the owner last changed.
    people_changed_at: i64,
    /// The last time at which a change may belong to another life: one window after the dismissal that ended the previous one.
    mixed_until: i64,
    /// The last creations and dismissals that no longer wait: time, kind and change key.
    lives: Vec<(i64, Kind, String)>,
    /// Who left, and when, as far back as the window.
    left: HashMap<String, i64>,
    owners: Owners,
    retention: Retention,
    has_creation: bool,
    joins: bool,
    leaves: bool,
    /// The first change of the group, which neither a quota's alarm nor `group.unknown` is, and whether retention may have deleted what was before it.
    first: Option<First>,
    changes: u64,
    keys: Option<(String, String)>,
    /// The changes whose previous values are wanted, and those that are known.
    wanted: HashSet<String>,
    previous: HashMap<String, Details>,
}

/// The first change of a history.
#[derive(Debug)]
struct First {
    change_key: String,
    at: Timestamp,
    kind: &'static str,
    expires: bool,
}

impl Fold {
    /// A fold of `key`'s records as they are at `now`: those that have expired are gone, whether deleted yet or not.
    #[must_use]
    pub fn new(key: GroupKey, now: Timestamp) -> Self {
        Self {
            window: millis(key.platform.evidence.window),
            key,
            now,
            until: i64::MAX,
            waiting: BTreeMap::new(),
            later: Vec::new(),
            waiting_members: HashMap::new(),
            newest: i64::MIN,
            group: Group::default(),
            gaps: Gaps::default(),
            resolved_swaps: HashSet::new(),
            people_changed_at: i64::MIN / 2,
            mixed_until: i64::MIN,
            lives: Vec::new(),
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

    /// Keeps what was before these changes.
    #[must_use]
    pub fn with_previous_of(mut self, change_keys: impl IntoIterator<Item = String>) -> Self {
        self.wanted.extend(change_keys);
        self
    }

    /// Counts what happened up to and including the time `until`. Later records, within the window of it, may still be added: they
    /// do not count, but they can explain what would be a gap.
    #[must_use]
    pub fn up_to(mut self, until: Option<Timestamp>) -> Self {
        self.until = until.map_or(i64::MAX, Timestamp::unix_millis);
        self
    }

    /// The time up to which records are of use.
    #[must_use]
    pub fn reads_until(&self) -> Option<Timestamp> {
        Timestamp::from_unix_millis(self.until).map(|until| until.plus_millis(self.window))
    }

    /// Adds a record, in the order of their keys, or as far out of it as the window.
    pub fn add(&mut self, change: Change) {
        let event = Event::from(change);
        let at = event.at.unix_millis();
        if event.expires_at.is_some_and(|at| at <= self.now.unix_seconds()) {
            self.retention.has_expired = true;
            return;
        }
        // Anything older than the window has been applied already: this is a repetition.
        if at < self.newest.saturating_sub(self.window) {
            return;
        }
        self.newest = self.newest.max(at);
        self.index_members(&event);
        if at > self.until {
            self.later.push(event);
            return;
        }
        let (at, rank) = match event.kind {
            Some(Kind::GroupCreated) => (at - self.window, 0),
            Some(Kind::GroupDismissed) => (at + self.window, 2),
            _ => (at, 1),
        };
        self.waiting.insert((at, rank, event.key.clone()), event);
        while let Some(((at, ..), _)) = self.waiting.first_key_value()
            && (*at < self.newest - READ_AHEAD * self.window || self.waiting.len() > MAX_WAITING)
        {
            self.step();
        }
    }

    /// Whether the previous values of some wanted change are still unknown.
    #[must_use]
    pub fn wants_more(&self) -> bool {
        !self.wanted.is_empty()
    }

    /// Ends the fold. Where these are not all records, those that wait for later ones do not count.
    #[must_use]
    pub fn end(mut self, finished: bool) -> Folded {
        while finished && !self.waiting.is_empty() {
            self.step();
        }
        Folded { fold: self, finished }
    }

    fn index_members(&mut self, event: &Event) {
        let Some(kind @ (Kind::MemberJoined | Kind::MemberLeft)) = event.kind else { return };
        for member in event.ids("members") {
            let waiting = self.waiting_members.entry(member.to_string()).or_default();
            let it = (event.at.unix_millis(), kind, event.key.clone());
            if !waiting.contains(&it) {
                waiting.push(it);
            }
        }
    }

    fn no_longer_waits(&mut self, event: &Event) {
        if !matches!(event.kind, Some(Kind::MemberJoined | Kind::MemberLeft)) {
            return;
        }
        for member in event.ids("members") {
            if let Some(waiting) = self.waiting_members.get_mut(member.as_ref()) {
                waiting.retain(|(_, _, key)| *key != event.key);
                if waiting.is_empty() {
                    self.waiting_members.remove(member.as_ref());
                }
            }
        }
    }

    /// The gap of a history without a creation, unless retention may have deleted it or it comes within the window.
    fn no_creation(&self) -> Option<Gap> {
        let First { change_key, at, kind, expires } = self.first.as_ref()?;
        let until = at.unix_millis() + self.window;
        let comes =
            self.later.iter().any(|other| other.kind == Some(Kind::GroupCreated) && other.at.unix_millis() <= until);
        let is_gap = !self.has_creation && !expires && !self.retention.has_expired && !comes;
        is_gap.then(|| Gap {
            kind: GapKind::NoCreation,
            change_key: change_key.clone(),
            occurred_at: *at,
            expected: Some(Kind::GroupCreated.as_str().to_owned()),
            found: Some((*kind).to_owned()),
        })
    }

    fn tells_members(&self) -> bool {
        self.group.group_type().is_some_and(|own| self.key.platform.evidence.types_with_all_members.contains(&own))
    }

    /// Applies the next change, or one that has to come before it.
    fn step(&mut self) {
        let Some(((place, ..), event)) = self.waiting.pop_first() else { return };
        self.no_longer_waits(&event);
        match event.kind {
            Some(Kind::GroupCreated) => {
                self.note_life(&event);
                if self.group.is_seen && place < event.at.unix_millis() && !self.apply_dismissals_before(&event) {
                    // A group that exists is created again: not before what happened in its life up to now.
                    self.waiting.insert((event.at.unix_millis(), 0, event.key.clone()), event);
                    return;
                }
                // What was recorded within the window before may be of the new life already.
                let mut is_mixed = self.group.is_seen && event.at.unix_millis() - self.people_changed_at <= self.window;
                if self.group.is_seen {
                    for place in self.dismissals_near(&event) {
                        // If the history is in doubt, this dismissal may end the new life instead of the old one.
                        is_mixed |= self.group.doubts.history;
                        self.apply_waiting(&place);
                    }
                }
                if let Some(dismissed) = &self.group.dismissed {
                    self.mixed_until = self.mixed_until.max(dismissed.since.unix_millis() + self.window);
                }
                self.apply(event);
                if is_mixed {
                    self.mixed_until = self.mixed_until.max(self.people_changed_at + self.window);
                    self.group.doubt_people();
                }
            }
            Some(Kind::GroupDismissed) => {
                // Of a creation within the window of it, it may have come before.
                let created = self.group.created.as_ref().map(|created| created.since.unix_millis());
                let is_mixed = created.is_some_and(|at| (event.at.unix_millis() - at).abs() <= self.window);
                self.apply(event);
                if is_mixed {
                    self.group.doubt();
                }
            }
            Some(Kind::GroupOwnerChanged) => {
                let event = self.first_of_chain(event);
                self.apply(event);
            }
            _ => self.apply(event),
        }
    }

    /// Remembers a creation or dismissal that no longer waits.
    fn note_life(&mut self, event: &Event) {
        let Some(kind @ (Kind::GroupCreated | Kind::GroupDismissed)) = event.kind else { return };
        let at = event.at.unix_millis();
        self.lives.retain(|(other, _, key)| *other >= at - READ_AHEAD * self.window && *key != event.key);
        self.lives.push((at, kind, event.key.clone()));
    }

    /// Whether so many lives begin and end around a creation or dismissal that nobody can tell which is which.
    fn is_tangled(&self, event: &Event) -> bool {
        if !matches!(event.kind, Some(Kind::GroupCreated | Kind::GroupDismissed)) {
            return false;
        }
        let at = event.at.unix_millis();
        let waiting = self.waiting.values().chain(&self.later);
        let waiting = waiting.filter_map(|other| Some((other.at.unix_millis(), other.kind?)));
        let lives: Vec<(i64, Kind)> = self.lives.iter().map(|(at, kind, _)| (*at, *kind)).chain(waiting).collect();
        let within = |windows: i64, kind: Kind| {
            lives.iter().filter(|(other, own)| *own == kind && (other - at).abs() <= windows * self.window).count()
        };
        // Two dismissals alone are not two lives: OpenIM reports one twice.
        within(2, Kind::GroupCreated) > 1 && within(3, Kind::GroupDismissed) > 0
            || within(2, Kind::GroupDismissed) > 1 && within(3, Kind::GroupCreated) > 0
    }

    fn apply_waiting(&mut self, place: &Place) {
        if let Some(event) = self.waiting.remove(place) {
            self.no_longer_waits(&event);
            self.apply(event);
        }
    }

    /// Applies the waiting dismissals that are more than the window older than a second creation; whether there were any.
    fn apply_dismissals_before(&mut self, creation: &Event) -> bool {
        let since = creation.at.unix_millis() - self.window;
        let is_it = |event: &Event| event.kind == Some(Kind::GroupDismissed) && event.at.unix_millis() < since;
        let places = self.waiting.iter().filter(|(_, event)| is_it(event)).map(|(place, _)| place.clone());
        let places: Vec<Place> = places.collect();
        for place in &places {
            self.apply_waiting(place);
        }
        !places.is_empty()
    }

    /// The waiting dismissals within the window of a second creation that it must have followed: those recorded before it, or else
    /// the first one after it.
    fn dismissals_near(&self, creation: &Event) -> Vec<Place> {
        let at = creation.at.unix_millis();
        let near = |event: &Event| (event.at.unix_millis() - at).abs() <= self.window;
        let places = self.waiting.iter().filter(|(_, event)| event.kind == Some(Kind::GroupDismissed) && near(event));
        let (before, after): (Vec<_>, Vec<_>) = places.partition(|(_, event)| event.at.unix_millis() <= at);
        let places = if before.is_empty() { after.into_iter().take(1).collect() } else { before };
        places.into_iter().map(|(place, _)| place.clone()).collect()
    }

    /// The changes of the owner that wait, up to a time.
    fn owner_changes(&self, until: i64) -> impl Iterator<Item = (&Place, &Event)> {
        let waiting = self.waiting.range(..=(until, u8::MAX, String::new()));
        waiting.filter(|(_, other)| other.kind == Some(Kind::GroupOwnerChanged))
    }

    /// Of the changes of the owner within the window of `event`, the one that comes first in the order with the fewest mismatches,
    /// and among such orders in that nearest to the records'. The others go on waiting.
    fn first_of_chain(&mut self, event: Event) -> Event {
        let until = event.at.unix_millis() + self.window;
        let waiting: Vec<(Place, &Event)> =
            self.owner_changes(until).map(|(place, other)| (place.clone(), other)).take(MAX_CHAIN - 1).collect();
        let links: Vec<(Option<&str>, Option<&str>)> = [&event]
            .into_iter()
            .chain(waiting.iter().map(|(_, other)| *other))
            .map(|other| (other.text("old_owner"), other.text("new_owner")))
            .collect();
        let owner = self.group.owner();
        let may_own = |old: &str| owner.is_none_or(|owner| owner == old) || self.owners.can_end_with(old);
        let (mismatches, mut first) = best_order(&may_own, &links);
        if mismatches > 0 && self.group.doubts.owner {
            (_, first) = best_order(&|_| true, &links);
        }
        let place = first.checked_sub(1).and_then(|other| waiting.into_iter().nth(other)).map(|(place, _)| place);
        let Some(chosen) = place.and_then(|place| self.waiting.remove(&place)) else { return event };
        self.waiting.insert((event.at.unix_millis(), 1, event.key.clone()), event);
        chosen
    }

    /// Applies a change, and adds the gaps that it proves.
    fn apply(&mut self, event: Event) {
        if self.retention.may_have_deleted_before(&event, self.now) {
            self.group.doubt();
        }
        let is_about_people = matches!(
            event.kind,
            Some(Kind::MemberJoined | Kind::MemberLeft | Kind::MemberChanged | Kind::GroupOwnerChanged)
        );
        self.note_life(&event);
        let is_tangled = self.is_tangled(&event);
        let is_mixed = is_about_people && event.at.unix_millis() <= self.mixed_until;
        if is_tangled {
            self.mixed_until = self.mixed_until.max(event.at.unix_millis() + 2 * self.window);
        }
        let doubt = |group: &mut Group| {
            if is_tangled {
                group.doubt();
            } else if is_mixed {
                group.doubt_people();
            }
        };
        doubt(&mut self.group);
        self.changes += 1;
        let (first, last) = self.keys.get_or_insert_with(|| (event.key.clone(), event.key.clone()));
        if event.key < *first {
            first.clone_from(&event.key);
        }
        if event.key > *last {
            last.clone_from(&event.key);
        }
        if let Some(kind) = event.kind.filter(|kind| kind.requires_group_id())
            && self.first.as_ref().is_none_or(|first| event.key < first.change_key)
        {
            let expires = event.expires_at.is_some();
            self.first = Some(First { change_key: event.key.clone(), at: event.at, kind: kind.as_str(), expires });
        }
        self.look_for_gaps(&event);
        let mut previous = if self.wanted.remove(&event.key) { Previous::wanted() } else { Previous::default() };
        match event.kind {
            Some(Kind::MemberJoined) => self.join(&event),
            Some(Kind::MemberLeft) => self.leave(&event),
            Some(Kind::MemberChanged) if self.is_about_who_left(&event) => {}
            _ => self.group.apply(&event, &mut previous),
        }
        self.group.see(&event);
        // A new life and a new owner have cleared the doubt.
        doubt(&mut self.group);
        if is_about_people {
            self.people_changed_at = self.people_changed_at.max(event.at.unix_millis());
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

    /// Whether a record within the window after a change may explain what that seems to prove: the creation of the group's next
    /// life, or, of those that do not count yet, a change of the owner to the one that this one replaces.
    fn may_be_explained(&self, event: &Event) -> bool {
        let until = event.at.unix_millis() + self.window;
        let is_near = |other: &&Event| other.at.unix_millis() <= until;
        let waiting = self.waiting.range(..=(until, u8::MAX, String::new())).map(|(_, other)| other);
        // A creation may precede what is recorded up to a window before it.
        let is_creation =
            |other: &Event| other.kind == Some(Kind::GroupCreated) && other.at.unix_millis() <= until + self.window;
        let hands_over = |other: &Event| {
            let old =
                if event.kind == Some(Kind::GroupDismissed) { event.text("owner") } else { event.text("old_owner") };
            other.kind == Some(Kind::GroupOwnerChanged) && old.is_some() && other.text("new_owner") == old
        };
        // A dismissal before a creation is applied early: changes of the owner that precede it may still wait.
        let is_dismissal = event.kind == Some(Kind::GroupDismissed);
        waiting.clone().chain(&self.later).any(is_creation)
            || waiting.filter(is_near).any(|other| is_dismissal && hands_over(other))
            || self.later.iter().filter(is_near).any(hands_over)
    }

    /// Adds the gaps that a change proves, but for those of members.
    fn look_for_gaps(&mut self, event: &Event) {
        let Some(kind) = event.kind else { return };
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
        {
            if !self.group.doubts.history && !self.may_be_explained(event) {
                self.gap(GapKind::ChangeAfterDismissal, event, Some(&dismissed.change_key), Some(kind.as_str()));
            }
            // It exists again, and nothing is known of its new life.
            self.group = Group::default();
        }
        if kind == Kind::GroupCreated
            && let Some(created) = self.group.created.clone()
            && self.group.is_alive()
            && !self.group.doubts.history
            && !self.is_dismissed_later(event)
        {
            self.gap(GapKind::CreatedTwice, event, Some(&created.change_key), Some(&event.key));
        }
        if kind == Kind::GroupDismissed && self.knows_members() {
            for member in event.members() {
                let is_member = self.group.members.contains_key(member);
                if !is_member
                    && !self.has_left_within_window(member, event)
                    && self.near(Kind::MemberJoined, member, event).is_none()
                    && !self.may_be_explained(event)
                {
                    self.gap(GapKind::MemberUnknown, event, None, Some(member));
                }
            }
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
            && !self.group.doubts.owner
            && !self.owners.can_end_with(says)
            && !self.is_crowded(event, says)
            && !self.may_be_explained(event)
        {
            self.gap(GapKind::OwnerMismatch, event, Some(owner), Some(says));
        }
        if kind == Kind::GroupOwnerChanged {
            let follows = mismatch.is_none() && (owner.is_some() || !self.may_close_a_circle(event));
            self.owners.add(event, follows, self.window);
        }
    }

    /// Whether a waiting change within the window may have made the owner from whom this one takes the group.
    fn may_close_a_circle(&self, event: &Event) -> bool {
        let old = event.text("old_owner");
        let mut near = self.owner_changes(event.at.unix_millis() + self.window);
        old.is_some() && near.any(|(_, other)| other.text("new_owner") == old)
    }

    /// Whether a dismissal that does not count yet may have come before a second creation.
    fn is_dismissed_later(&self, creation: &Event) -> bool {
        let until = creation.at.unix_millis() + self.window;
        let mut near = self.later.iter().filter(|other| other.at.unix_millis() <= until);
        near.any(|other| other.kind == Some(Kind::GroupDismissed))
    }

    fn owner_is_younger_than_window(&self, event: &Event) -> bool {
        let since = self.group.fields.get("owner").map(|owner| owner.origin.since.unix_millis());
        since.is_some_and(|since| (event.at.unix_millis() - since).abs() <= self.window)
    }

    /// Whether too many changes of the owner wait within the window to be put into order, or a later one, which some of them may
    /// lead to, makes the owner whom this one names.
    fn is_crowded(&self, event: &Event, owner: &str) -> bool {
        let until = event.at.unix_millis() + self.window;
        let changes = self.owner_changes(until + self.window).map(|(_, other)| other);
        let (near, beyond): (Vec<&Event>, Vec<&Event>) = changes.partition(|other| other.at.unix_millis() <= until);
        near.len() >= MAX_CHAIN || near.len() > 1 && beyond.iter().any(|other| other.text("new_owner") == Some(owner))
    }

    /// Whether every joining and leaving up to now was told, if the app's callbacks are switched on.
    fn knows_members(&self) -> bool {
        let Doubts { history, members, .. } = self.group.doubts;
        self.group.is_alive() && !history && !members && self.tells_members()
    }

    fn join(&mut self, event: &Event) {
        self.joins = true;
        for member in event.members() {
            if self.resolved_swaps.remove(&(event.key.clone(), member.to_owned())) {
                continue;
            }
            let is_known = self.group.members.get(member).is_some_and(|known| known.since.is_some());
            // Of somebody who is a member, the leaving comes first.
            if is_known {
                if self.is_swapped(Kind::MemberLeft, member, event) {
                    self.group.leave(member);
                } else if self.knows_members() && !self.may_be_explained(event) {
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
        for member in event.members() {
            if self.resolved_swaps.remove(&(event.key.clone(), member.to_owned())) {
                continue;
            }
            let is_known = self.group.members.contains_key(member);
            // Of somebody who is no member, the joining comes first; where not all joinings are told, that cannot be known.
            if !is_known
                && self.knows_members()
                && !self.is_swapped(Kind::MemberJoined, member, event)
                && !self.may_be_explained(event)
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
        if self.has_left_within_window(member, event) {
            return true;
        }
        if self.knows_members()
            && self.near(Kind::MemberJoined, member, event).is_none()
            && !self.may_be_explained(event)
        {
            self.gap(GapKind::MemberUnknown, event, None, Some(member));
        }
        false
    }

    fn has_left_within_window(&self, member: &str, event: &Event) -> bool {
        self.left.get(member).is_some_and(|left| (event.at.unix_millis() - left).abs() <= self.window)
    }

    /// Whether a record of `kind` about `member`, within the window after `event`, came before it; that one then counts already.
    fn is_swapped(&mut self, kind: Kind, member: &str, event: &Event) -> bool {
        let near = self.near(kind, member, event);
        near.is_some_and(|key| self.resolved_swaps.insert((key, member.to_owned())))
    }

    /// The first record of `kind` about `member` that waits within the window of `event` and does not count already.
    fn near(&self, kind: Kind, member: &str, event: &Event) -> Option<String> {
        let until = event.at.unix_millis() + self.window;
        let waiting = self.waiting_members.get(member).into_iter().flatten();
        let is_it = |(at, own, key): &&(i64, Kind, String)| {
            *own == kind
                && *at <= until
                && *key != event.key
                && !self.resolved_swaps.contains(&(key.clone(), member.to_owned()))
        };
        let first = waiting.filter(is_it).min_by(|(_, _, one), (_, _, other)| one.cmp(other));
        first.map(|(_, _, key)| key.clone())
    }
}

/// A fold that has ended.
#[derive(Debug)]
pub struct Folded {
    fold: Fold,
    finished: bool,
}

impl Folded {
    /// The platform and the id of the group's app.
    #[must_use]
    pub fn app(&self) -> (&str, &str) {
        (self.fold.key.platform.name, &self.fold.key.app_id)
    }

    /// The members, however many.
    #[must_use]
    pub fn members(&self) -> &BTreeMap<String, Member> {
        &self.fold.group.members
    }

    /// What was before the changes that were asked for, as far as they were folded.
    #[must_use]
    pub fn into_previous(self) -> HashMap<String, Details> {
        self.fold.previous
    }

    /// The kinds of change that have to be found among the app's other groups for the members to be complete, and for their gaps to
    /// be proved: none where this group's records have both, or where nothing depends on it.
    #[must_use]
    pub fn kinds_to_find(&self) -> Vec<Kind> {
        let Fold { joins, leaves, group, gaps, .. } = &self.fold;
        let depends = gaps.has_members() || (group.created.is_some() && self.fold.tells_members());
        let missing = [(Kind::MemberJoined, joins), (Kind::MemberLeft, leaves)].into_iter();
        missing.filter(|(_, is_there)| depends && !**is_there).map(|(kind, _)| kind).collect()
    }

    /// The state; `None` where no record counted. `callbacks_on` says whether the app's callbacks of joining and leaving are both
    /// switched on, by what the ledger has.
    #[must_use]
    pub fn state(self, callbacks_on: bool) -> Option<State> {
        let tells_members = self.fold.tells_members();
        let no_creation = self.fold.no_creation();
        let Fold { key, group, mut gaps, keys, changes, .. } = self.fold;
        let (first_change_key, last_change_key) = keys?;
        if let Some(gap) = no_creation {
            gaps.add(gap);
        }
        let (gaps, gap_counts) = if callbacks_on { gaps } else { gaps.without_members() }.into_sorted();
        let complete = group.created.is_some();
        let is_doubtful = group.doubts.history || group.doubts.members;
        let members_total = group.members.len();
        let Group { mut fields, mut custom_fields, mut attributes, mut topics, .. } = group;
        let own = [&mut fields, &mut custom_fields, &mut attributes];
        let values_omitted = room::omit(own.into_iter().chain(topics.values_mut()));
        Some(State {
            group_key: key.group_key,
            platform: key.platform.name.to_owned(),
            app_id: key.app_id,
            group_id: key.group_id,
            status: if group.dismissed.is_some() { Status::Dismissed } else { Status::Active },
            complete,
            members_complete: complete && tells_members && callbacks_on && !is_doubtful,
            created: group.created,
            dismissed: group.dismissed,
            changes,
            first_change_key,
            last_change_key,
            finished: self.finished,
            values_omitted,
            fields,
            custom_fields,
            attributes,
            members: room::members(group.members),
            members_total,
            topics,
            gaps: room::gaps(gaps),
            gap_counts,
        })
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
