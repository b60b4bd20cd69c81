//! Random histories: the fold agrees with a model that knows what really happened, and reports the losses that can be proved.

use std::collections::{BTreeMap, BTreeSet};

use group_ledger::platform::Registration;
use group_ledger::reading::change::Change;
use group_ledger::reading::state::State;
use serde_json::{Value, json};

use super::{BEGIN, change, fold_of, state, time, values};
use crate::support::{OPENIM, TENCENT_CHAT};

/// How many histories.
const HISTORIES: u64 = 10_000;

/// Numbers that a seed decides (xorshift).
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from((self.0 >> 11) % end as u64).unwrap()
    }

    fn one_of<'t, T>(&mut self, of: &'t [T]) -> &'t T {
        &of[self.below(of.len())]
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for index in (1..items.len()).rev() {
            items.swap(index, self.below(index + 1));
        }
    }
}

/// What happened, in the order in which it did.
#[derive(Clone, Debug)]
struct Happened {
    /// When the record says that it happened: within a burst not in the order in which it did.
    seconds: f64,
    kind: &'static str,
    details: Value,
    /// Whether it is one of a burst, whose order the records do not keep.
    in_burst: bool,
}

/// The group as it really is. Far simpler than the fold, because it is told everything and in order.
#[derive(Clone, Debug, Default)]
struct Truth {
    exists: bool,
    owner: Option<String>,
    names: BTreeMap<String, Value>,
    attributes: BTreeMap<String, Value>,
    members: BTreeSet<String>,
}

impl Truth {
    fn happens(&mut self, kind: &str, details: &Value) {
        let ids = |name: &str| details[name].as_array().into_iter().flatten().map(|id| id.as_str().unwrap().to_owned());
        let text = |name: &str| details[name].as_str().map(str::to_owned);
        match kind {
            "group.created" => {
                let members = ids("members").chain(text("owner")).collect();
                *self = Self { exists: true, owner: text("owner"), members, ..Self::default() };
                self.names.insert("name".into(), details["name"].clone());
            }
            "group.info_changed" => {
                for (name, value) in details.as_object().unwrap() {
                    self.names.insert(name.clone(), value.clone());
                }
            }
            "group.owner_changed" => self.owner = text("new_owner"),
            "group.attributes_changed" => {
                if details["operation"] == "set" {
                    self.attributes.clear();
                }
                for (name, value) in details["attributes"].as_object().unwrap() {
                    match details["operation"].as_str() {
                        Some("delete") => self.attributes.remove(name),
                        _ => self.attributes.insert(name.clone(), value.clone()),
                    };
                }
            }
            "member.joined" => self.members.extend(ids("members")),
            "member.left" => {
                for member in ids("members") {
                    self.members.remove(&member);
                    if self.owner.as_ref() == Some(&member) {
                        self.owner = None;
                    }
                }
            }
            "group.dismissed" => self.exists = false,
            _ => {}
        }
    }

    /// As the fold's state says it.
    fn values(&self, group_type: &str, members_complete: bool) -> Value {
        let mut fields: serde_json::Map<String, Value> = self.names.clone().into_iter().collect();
        fields.extend(self.owner.iter().map(|owner| ("owner".to_owned(), json!(owner))));
        fields.insert("group_type".into(), json!(group_type));
        json!({ "status": if self.exists { "active" } else { "dismissed" }, "complete": true, "members_complete": members_complete,
            "fields": fields, "custom_fields": {}, "attributes": self.attributes, "members": self.members, "topics": {} })
    }

    /// What a change proves, by what was known before it: the kind of gap, once for each member.
    fn proves(&self, known: &Known, kind: &str, details: &Value) -> Vec<&'static str> {
        let members = || details["members"].as_array().into_iter().flatten().map(|id| id.as_str().unwrap());
        let mut gaps = Vec::new();
        if known.dismissed && !["group.created", "group.dismissed"].contains(&kind) {
            return vec!["change_after_dismissal"];
        }
        match kind {
            "group.created" if known.alive => gaps.push("created_twice"),
            "group.owner_changed" => {
                let old = details["old_owner"].as_str().unwrap();
                if self.owner.as_ref().is_some_and(|owner| owner != old) {
                    gaps.push("owner_mismatch");
                }
            }
            "member.joined" if known.members => {
                gaps.extend(members().filter(|member| self.members.contains(*member)).map(|_| "member_known"));
            }
            "member.left" if known.members => {
                gaps.extend(members().filter(|member| !self.members.contains(*member)).map(|_| "member_unknown"));
            }
            _ => {}
        }
        gaps
    }
}

/// What is known besides.
struct Known {
    alive: bool,
    dismissed: bool,
    members: bool,
}

/// A life of a group, told by a platform: what happens alone is far from all else; what happens in a burst is recorded in any
/// order, of which only the true one explains it.
fn happens(random: &mut Random, platform: &'static Registration, group_type: &str) -> Vec<Happened> {
    let window = platform.evidence.window.as_secs_f64();
    let names = ["ann", "bob", "eve", "dan", "kim", "lou", "max", "zoe"];
    let (mut truth, mut clock, mut all) = (Truth::default(), 0.0, Vec::new());
    let tells_members = !platform.evidence.types_with_all_members.is_empty();
    let has_bursts = random.below(2) == 0;
    for step in 0..10 + random.below(30) {
        clock += window * (3.0 + random.below(5) as f64);
        let mut burst: Vec<(&'static str, Value)> = Vec::new();
        let mut tell = |truth: &mut Truth, kind, details: Value| {
            truth.happens(kind, &details);
            burst.push((kind, details));
        };
        let members: Vec<String> = truth.members.iter().cloned().collect();
        let strangers: Vec<&str> = names.into_iter().filter(|name| !truth.members.contains(*name)).collect();
        let bursts = has_bursts && random.below(3) == 0;
        if truth.exists {
            match random.below(8) {
                0 => tell(
                    &mut truth,
                    "group.info_changed",
                    json!({ random.one_of(&["name", "introduction", "notification"]).to_owned(): format!("text {step}") }),
                ),
                1 => {
                    let operation = *random.one_of(&["set", "modify", "delete"]);
                    let attributes = json!({ random.one_of(&["a", "b", "c"]).to_owned(): step.to_string() });
                    tell(
                        &mut truth,
                        "group.attributes_changed",
                        json!({ "operation": operation, "attributes": attributes }),
                    );
                }
                2 if !strangers.is_empty() => {
                    tell(&mut truth, "member.joined", json!({ "members": [random.one_of(&strangers)] }));
                }
                3 if !members.is_empty() => {
                    let member = random.one_of(&members);
                    tell(&mut truth, "member.left", json!({ "members": [member] }));
                    if bursts && tells_members {
                        tell(&mut truth, "member.joined", json!({ "members": [member] }));
                    }
                }
                4 | 5 => {
                    for _ in 0..if bursts { 2 + random.below(3) } else { 1 } {
                        // To whom the group was handed before it is not handed back, so that one order alone explains a burst.
                        let Some(old) = truth.owner.clone() else { break };
                        let new = format!("owner{}", all.len() * 10 + random.below(1_000_000));
                        tell(&mut truth, "group.owner_changed", json!({ "old_owner": old, "new_owner": new }));
                    }
                }
                // Dismissed and created again at once.
                6 if bursts && random.below(2) == 0 => {
                    tell(&mut truth, "group.dismissed", json!({ "said": step }));
                    let owner = *random.one_of(&names);
                    tell(
                        &mut truth,
                        "group.created",
                        json!({ "type": group_type, "name": format!("again {step}"), "owner": owner }),
                    );
                }
                6 if random.below(3) == 0 => {
                    if bursts {
                        tell(&mut truth, "group.info_changed", json!({ "notification": format!("last {step}") }));
                    }
                    tell(&mut truth, "group.dismissed", json!({ "said": step }));
                }
                _ => tell(&mut truth, "group.full", json!({ "step": step })),
            }
        } else {
            let owner = *random.one_of(&names);
            let created = json!({ "type": group_type, "name": format!("name {step}"), "owner": owner, "members": [random.one_of(&names)] });
            tell(&mut truth, "group.created", created);
            if bursts {
                tell(&mut truth, "group.info_changed", json!({ "introduction": format!("early {step}") }));
                if let Some(stranger) = names.into_iter().find(|name| !truth.members.contains(*name)) {
                    tell(&mut truth, "member.joined", json!({ "members": [stranger] }));
                }
            }
        }
        // A burst is recorded within the window, in any order. Only a true order chains owners, begins and ends a life.
        let mut order: Vec<usize> = (0..burst.len()).collect();
        random.shuffle(&mut order);
        let in_burst = burst.len() > 1;
        let step = window / 8.0;
        all.extend(burst.into_iter().zip(order).map(|((kind, details), place)| Happened {
            seconds: clock + step * place as f64,
            kind,
            details,
            in_burst,
        }));
    }
    all
}

fn records(platform: &Registration, happened: &[Happened]) -> Vec<Change> {
    happened.iter().map(|it| change(platform, it.seconds, it.kind, &it.details)).collect()
}

fn truth_of(happened: &[Happened]) -> Truth {
    let mut truth = Truth::default();
    for it in happened {
        truth.happens(it.kind, &it.details);
    }
    truth
}

fn platform_of(random: &mut Random) -> (&'static Registration, &'static str) {
    *random.one_of(&[(TENCENT_CHAT, "Public"), (TENCENT_CHAT, "AVChatRoom"), (OPENIM, "2")])
}

fn tells_members(platform: &Registration, group_type: &str) -> bool {
    platform.evidence.types_with_all_members.contains(&group_type)
}

/// The state of records in the order in which they are given, or as far out of it as the window.
fn as_given(platform: &Registration, records: Vec<Change>) -> State {
    let mut fold = fold_of(platform);
    for record in records {
        fold.add(record);
    }
    fold.end(true).state(true).unwrap()
}

/// Nothing is lost: the state is the truth, and there is no gap, whatever the order of a burst's records.
#[test]
fn without_a_loss_the_state_is_the_truth_and_there_is_no_gap() {
    for seed in 0..HISTORIES {
        let mut random = Random::new(seed);
        let (platform, group_type) = platform_of(&mut random);
        let happened = happens(&mut random, platform, group_type);
        let state = state(platform, records(platform, &happened));
        let truth = truth_of(&happened).values(group_type, tells_members(platform, group_type));
        assert_eq!(values(&state), truth, "seed {seed}: {happened:#?}");
        assert_eq!(state.gaps, [], "seed {seed}: {happened:#?}");
        // And at each moment outside of the bursts.
        let until = random.below(happened.len());
        let (until, rest) = (&happened[..=until], &happened[until + 1..]);
        let at = until.last().unwrap().seconds;
        if !until.last().unwrap().in_burst && rest.first().is_none_or(|next| !next.in_burst || next.seconds > at) {
            let mut fold = fold_of(platform).up_to(Some(time(BEGIN + (at * 1_000.0).round() as i64)));
            let mut all = records(platform, &happened);
            all.sort_by(|one, other| one.change_key.cmp(&other.change_key));
            all.retain(|record| record.occurred_at <= fold.reads_until().unwrap());
            for record in all {
                fold.add(record);
            }
            let state = fold.end(true).state(true).unwrap();
            let truth = truth_of(until).values(group_type, tells_members(platform, group_type));
            assert_eq!(values(&state), truth, "seed {seed}, as of {at}: {happened:#?}");
            assert_eq!(state.gaps, [], "seed {seed}, as of {at}: {happened:#?}");
        }
    }
}

/// Some are lost: what the rest proves, replayed in the order in which it happened, is what is reported. Where there are
/// bursts, the rest may be explained by another order of them: the report has no more than the true order proves.
#[test]
fn every_loss_that_can_be_proved_is_reported_and_none_that_did_not_happen() {
    let (mut proved, mut exact) = (0, 0);
    for seed in 0..HISTORIES {
        let mut random = Random::new(seed ^ 0x5eed);
        let (platform, group_type) = platform_of(&mut random);
        let happened = happens(&mut random, platform, group_type);
        let tells_members = tells_members(platform, group_type);
        // Some here and there, and of some groups the beginning: they are older than the ledger.
        let begins = if random.below(4) == 0 { random.below(happened.len()) } else { 0 };
        let kept: Vec<Happened> = happened.iter().skip(begins).filter(|_| random.below(8) != 0).cloned().collect();
        if kept.is_empty() {
            continue;
        }
        let mut expected: BTreeMap<&str, u64> = BTreeMap::new();
        let (mut truth, mut created, mut dismissed) = (Truth::default(), false, false);
        for it in &kept {
            let known =
                Known { alive: created && !dismissed, dismissed, members: tells_members && created && !dismissed };
            for gap in truth.proves(&known, it.kind, &it.details) {
                *expected.entry(gap).or_default() += 1;
            }
            if known.dismissed && !["group.created", "group.dismissed"].contains(&it.kind) {
                // It lives again, and nothing is known of that.
                (truth, created, dismissed) = (Truth::default(), false, false);
            }
            truth.happens(it.kind, &it.details);
            (created, dismissed) = match it.kind {
                "group.created" => (true, false),
                "group.dismissed" => (created, true),
                _ => (created, dismissed),
            };
        }
        if !kept.iter().any(|it| it.kind == "group.created") {
            expected.insert("no_creation", 1);
        }
        let state = json!(state(platform, records(platform, &kept)));
        let reported: BTreeMap<String, u64> = serde_json::from_value(state["gap_counts"].clone()).unwrap();
        // The order of a burst is told by what came before it, which may be lost.
        let is_order_known = !kept.iter().any(|it| it.in_burst && !it.kind.starts_with("group.created"));
        let expected: BTreeMap<String, u64> =
            expected.into_iter().map(|(kind, count)| (kind.to_owned(), count)).collect();
        if is_order_known {
            assert_eq!(reported, expected, "seed {seed}: {kept:#?}");
            exact += 1;
        } else {
            let known = |kind: &str| expected.get(kind).copied().unwrap_or(0);
            assert!(
                reported.iter().all(|(kind, count)| *count <= known(kind)),
                "seed {seed}: {reported:?}, of {expected:?}: {kept:#?}"
            );
        }
        proved += reported.values().sum::<u64>();
        assert!(kept.len() < happened.len() || reported.is_empty(), "seed {seed}: nothing was lost");
    }
    assert!(exact > HISTORIES / 3 && proved > HISTORIES / 2, "{exact} exact, {proved} proved");
}

/// Neither repetition nor the order within the window makes a difference, and the state of a time is that of
/// the records up to it.
#[test]
fn the_fold_does_not_depend_on_how_the_records_come() {
    for seed in 0..HISTORIES / 4 {
        let mut random = Random::new(seed ^ 0x0fde);
        let (platform, group_type) = platform_of(&mut random);
        let any_pace = random.below(2) == 0;
        let happened = if any_pace { happens_at_any_pace } else { happens }(&mut random, platform, group_type);
        let happened: Vec<Happened> = happened.into_iter().filter(|_| random.below(10) != 0).collect();
        let mut records = records(platform, &happened);
        records.sort_by(|one, other| one.change_key.cmp(&other.change_key));
        if records.is_empty() {
            continue;
        }
        let folded = as_given(platform, records.clone());

        // Each a second time, at once or later within the window.
        let mut replayed = records.clone();
        replayed.extend(records.iter().filter(|_| random.below(2) == 0).cloned());
        replayed.sort_by(|one, other| one.change_key.cmp(&other.change_key));
        assert_eq!(as_given(platform, replayed), folded, "seed {seed}: replayed");

        // Out of order by less than the window.
        let window = i64::try_from(platform.evidence.window.as_millis()).unwrap();
        let mut shuffled: Vec<(i64, Change)> = records
            .iter()
            .map(|record| (record.occurred_at.unix_millis() + random.below(window as usize) as i64, record.clone()))
            .collect();
        shuffled.sort_by_key(|(at, _)| *at);
        let shuffled = shuffled.into_iter().map(|(_, record)| record).collect();
        assert_eq!(as_given(platform, shuffled), folded, "seed {seed}: shuffled");

        // What follows within the window says which of a joining and a leaving came first.
        if any_pace {
            continue;
        }

        // As of a time, by the records up to it; those that follow can only explain.
        let at = random.one_of(&records).occurred_at;
        let up_to: Vec<Change> = records.iter().filter(|record| record.occurred_at <= at).cloned().collect();
        let by_then = as_given(platform, up_to);
        let mut fold = fold_of(platform).up_to(Some(at));
        for record in records
            .iter()
            .filter(|record| record.occurred_at <= fold.reads_until().unwrap())
            .cloned()
            .collect::<Vec<_>>()
        {
            fold.add(record);
        }
        let as_of = fold.end(true).state(true).unwrap();
        assert!(as_of.gaps.iter().all(|gap| by_then.gaps.contains(gap)), "seed {seed}: {:?}", as_of.gaps);
        let values = |state: State| State { gaps: Vec::new(), gap_counts: BTreeMap::new(), ..state };
        assert_eq!(values(as_of), values(by_then), "seed {seed}: as of {at}");
    }
}

/// A group's lives at any pace, each record displaced by less than the window.
fn happens_at_any_pace(random: &mut Random, platform: &'static Registration, group_type: &str) -> Vec<Happened> {
    let window = platform.evidence.window.as_secs_f64();
    let names = ["ann", "bob", "eve", "dan", "kim", "lou"];
    let (mut truth, mut clock, mut all) = (Truth::default(), 0.0, Vec::new());
    let pace = [0.5, 1.0, 3.0][random.below(3)];
    for step in 0..10 + random.below(30) {
        clock += window * pace * random.below(100) as f64 / 100.0;
        let members: Vec<String> = truth.members.iter().cloned().collect();
        let strangers: Vec<&str> = names.into_iter().filter(|name| !truth.members.contains(*name)).collect();
        let (kind, details) = match random.below(6) {
            _ if !truth.exists => {
                let (owner, member) = (*random.one_of(&names), *random.one_of(&names));
                (
                    "group.created",
                    json!({ "type": group_type, "name": step.to_string(), "owner": owner, "members": [member] }),
                )
            }
            0 if !strangers.is_empty() => ("member.joined", json!({ "members": [random.one_of(&strangers)] })),
            1 if !members.is_empty() => ("member.left", json!({ "members": [random.one_of(&members)] })),
            2 | 3 if let Some(owner) = &truth.owner => {
                let new = names.into_iter().filter(|name| name != owner).collect::<Vec<_>>();
                ("group.owner_changed", json!({ "old_owner": owner, "new_owner": random.one_of(&new) }))
            }
            4 => ("group.dismissed", json!({ "owner": truth.owner.clone().unwrap_or_default(), "members": members })),
            _ => ("group.info_changed", json!({ "name": step.to_string() })),
        };
        truth.happens(kind, &details);
        // Two that say the same in one millisecond would be one record.
        let mut details = details;
        details["said"] = json!(step);
        let seconds = clock + window * random.below(990) as f64 / 1_000.0;
        all.push(Happened { seconds, kind, details, in_burst: true });
    }
    all
}

/// Nothing is lost, and lives follow one another within the window: what some order of the records explains is no gap.
#[test]
fn nothing_is_proved_of_what_another_order_within_the_window_explains() {
    for seed in 0..HISTORIES {
        let mut random = Random::new(seed ^ 0xface);
        let (platform, group_type) = platform_of(&mut random);
        let happened = happens_at_any_pace(&mut random, platform, group_type);
        assert_eq!(state(platform, records(platform, &happened)).gaps, [], "seed {seed}: {happened:#?}");
    }
}
