//! Histories with each gap, and with every innocent explanation of one.

use group_ledger::platform::Registration;
use group_ledger::reading::change::Change;
use serde_json::{Value, json};

use super::{BEGIN, change, created, fold_of, now, state};
use crate::support::{OPENIM, TENCENT_CHAT};

/// A change: seconds after the beginning, kind, details.
type Step = (f64, &'static str, Value);

/// A gap: kind, seconds of the change that proves it, expected, found.
type Expected = (&'static str, f64, Value, Value);

fn changes(platform: &Registration, steps: &[Step]) -> Vec<Change> {
    steps.iter().map(|(seconds, kind, details)| change(platform, *seconds, kind, details)).collect()
}

/// Asserts which gaps a history has.
fn assert_gaps(what: &str, platform: &Registration, steps: &[Step], expected: &[Expected]) {
    let changes = changes(platform, steps);
    let key_at = |seconds: f64| {
        let at = super::time(BEGIN + (seconds * 1_000.0).round() as i64).to_string();
        changes.iter().find(|change| change.change_key.starts_with(&at)).unwrap().change_key.clone()
    };
    let gaps = json!(state(platform, changes.clone()).gaps);
    let gaps: Vec<_> = gaps
        .as_array()
        .unwrap()
        .iter()
        .map(|gap| [&gap["kind"], &gap["change_key"], &gap["expected"], &gap["found"]].map(Clone::clone))
        .collect();
    let keyed = |value: &Value| match value.as_f64() {
        Some(seconds) => json!(key_at(seconds)),
        None => value.clone(),
    };
    let expected: Vec<_> = expected
        .iter()
        .map(|(kind, seconds, expected, found)| [json!(kind), json!(key_at(*seconds)), keyed(expected), keyed(found)])
        .collect();
    assert_eq!(gaps, expected, "{what}");
}

fn owner(old: &str, new: &str) -> Value {
    json!({ "old_owner": old, "new_owner": new })
}

fn members(members: &[&str]) -> Value {
    json!({ "members": members })
}

const CREATED: &str = "group.created";
const INFO: &str = "group.info_changed";
const OWNER: &str = "group.owner_changed";
const DISMISSED: &str = "group.dismissed";
const JOINED: &str = "member.joined";
const LEFT: &str = "member.left";
const CHANGED: &str = "member.changed";

#[test]
fn a_history_without_a_creation_misses_it() {
    for platform in [TENCENT_CHAT, OPENIM] {
        assert_gaps(
            "no creation",
            platform,
            &[(0.0, INFO, json!({ "name": "x" })), (90.0, INFO, json!({ "name": "y" }))],
            &[("no_creation", 0.0, json!("group.created"), json!("group.info_changed"))],
        );
        assert_gaps("a creation", platform, &[(0.0, CREATED, created()), (90.0, INFO, json!({ "name": "y" }))], &[]);
        // Its own time is the server's, all others are those of our receipt.
        assert_gaps(
            "a late creation",
            platform,
            &[(0.0, INFO, json!({ "name": "x" })), (4.9, CREATED, created())],
            &[],
        );
        assert_gaps("an alarm is of no group", platform, &[(0.0, "app.group_quota_alarm", json!({ "quota": 1 }))], &[]);
        assert_gaps("nobody knows what that was", platform, &[(0.0, "group.unknown", json!({}))], &[]);
    }
}

#[test]
fn an_owner_change_proves_the_one_that_is_missing_before_it() {
    for platform in [TENCENT_CHAT, OPENIM] {
        let gaps = |what, steps: &[Step], expected: &[Expected]| assert_gaps(what, platform, steps, expected);
        gaps(
            "ann never handed it to bob",
            &[(0.0, CREATED, created()), (90.0, OWNER, owner("bob", "eve"))],
            &[("owner_mismatch", 90.0, json!("ann"), json!("bob"))],
        );
        gaps(
            "a chain",
            &[(0.0, CREATED, created()), (90.0, OWNER, owner("ann", "bob")), (180.0, OWNER, owner("bob", "eve"))],
            &[],
        );
        gaps(
            "a swapped pair",
            &[(0.0, CREATED, created()), (90.0, OWNER, owner("bob", "eve")), (92.0, OWNER, owner("ann", "bob"))],
            &[],
        );
        gaps(
            "three in another order",
            &[
                (0.0, CREATED, created()),
                (90.0, OWNER, owner("eve", "dan")),
                (91.0, OWNER, owner("bob", "eve")),
                (92.0, OWNER, owner("ann", "bob")),
            ],
            &[],
        );
        gaps(
            "there and back, and on",
            &[
                (0.0, CREATED, created()),
                (90.0, OWNER, owner("ann", "eve")),
                (91.0, OWNER, owner("ann", "bob")),
                (92.0, OWNER, owner("bob", "ann")),
            ],
            &[],
        );
        gaps(
            "a pair that does not chain",
            &[(0.0, CREATED, created()), (90.0, OWNER, owner("bob", "eve")), (92.0, OWNER, owner("dan", "bob"))],
            &[("owner_mismatch", 92.0, json!("ann"), json!("dan"))],
        );
        gaps(
            "too far apart to be swapped",
            &[(0.0, CREATED, created()), (90.0, OWNER, owner("bob", "eve")), (190.0, OWNER, owner("ann", "bob"))],
            &[
                ("owner_mismatch", 90.0, json!("ann"), json!("bob")),
                ("owner_mismatch", 190.0, json!("eve"), json!("ann")),
            ],
        );
        gaps(
            "an owner who quit",
            &[(0.0, CREATED, created()), (90.0, LEFT, members(&["ann"])), (180.0, OWNER, owner("bob", "eve"))],
            &[],
        );
        gaps(
            "an ownerless group",
            &[(0.0, CREATED, json!({ "type": "Public" })), (90.0, OWNER, owner("bob", "eve"))],
            &[],
        );
        gaps(
            "nobody before",
            &[(0.0, CREATED, created()), (90.0, OWNER, owner("", "eve")), (180.0, OWNER, owner("eve", ""))],
            &[],
        );
        gaps(
            "nobody after",
            &[(0.0, CREATED, created()), (90.0, OWNER, owner("ann", "")), (180.0, OWNER, owner("eve", "bob"))],
            &[],
        );
        gaps(
            "imported with an owner",
            &[(90.0, OWNER, owner("bob", "eve"))],
            &[("no_creation", 90.0, json!("group.created"), json!("group.owner_changed"))],
        );
        gaps(
            "a dismissal by another owner",
            &[(0.0, CREATED, created()), (90.0, DISMISSED, json!({ "owner": "bob" }))],
            &[("owner_mismatch", 90.0, json!("ann"), json!("bob"))],
        );
        gaps(
            "a dismissal right after a change",
            &[
                (0.0, CREATED, created()),
                (90.0, OWNER, owner("ann", "bob")),
                (91.0, DISMISSED, json!({ "owner": "ann" })),
            ],
            &[],
        );
        gaps(
            "a dismissal recorded before the change",
            &[
                (0.0, CREATED, created()),
                (90.0, DISMISSED, json!({ "owner": "bob" })),
                (91.0, OWNER, owner("ann", "bob")),
            ],
            &[],
        );
    }
}

#[test]
fn what_changes_after_a_dismissal_proves_a_creation_to_be_missing() {
    for platform in [TENCENT_CHAT, OPENIM] {
        let gaps = |what, steps: &[Step], expected: &[Expected]| assert_gaps(what, platform, steps, expected);
        let end = (90.0, DISMISSED, json!({}));
        gaps(
            "a rename",
            &[(0.0, CREATED, created()), end.clone(), (190.0, INFO, json!({ "name": "x" }))],
            &[("change_after_dismissal", 190.0, json!(90.0), json!("group.info_changed"))],
        );
        gaps("a swapped pair", &[(0.0, CREATED, created()), end.clone(), (94.9, INFO, json!({ "name": "x" }))], &[]);
        gaps(
            "a second dismissal",
            &[(0.0, CREATED, created()), end.clone(), (290.0, DISMISSED, json!({ "members": [] }))],
            &[],
        );
        for (kind, details) in [
            ("topic.dismissed", json!({ "topic_ids": ["t"] })),
            ("topic.created", json!({ "topic_id": "t" })),
            ("topic.info_changed", json!({ "topic_id": "t" })),
            ("member.state_changed", members(&["ann"])),
            ("group.unknown", json!({})),
        ] {
            gaps(kind, &[(0.0, CREATED, created()), end.clone(), (190.0, kind, details)], &[]);
        }
        gaps(
            "a new life",
            &[
                (0.0, CREATED, created()),
                end.clone(),
                (290.0, CREATED, created()),
                (390.0, INFO, json!({ "name": "x" })),
            ],
            &[],
        );
    }
}

#[test]
fn a_second_creation_proves_a_dismissal_to_be_missing() {
    for platform in [TENCENT_CHAT, OPENIM] {
        let gaps = |what, steps: &[Step], expected: &[Expected]| assert_gaps(what, platform, steps, expected);
        let again = json!({ "type": "Public", "owner": "kim", "name": "Again" });
        gaps(
            "twice",
            &[(0.0, CREATED, created()), (190.0, CREATED, again.clone())],
            &[("created_twice", 190.0, json!(0.0), json!(190.0))],
        );
        gaps(
            "a new life",
            &[(0.0, CREATED, created()), (90.0, DISMISSED, json!({})), (290.0, CREATED, again.clone())],
            &[],
        );
        for (dismissed, created_again) in [(200.0, 204.0), (204.0, 200.0)] {
            let steps =
                [(0.0, CREATED, created()), (dismissed, DISMISSED, json!({})), (created_again, CREATED, again.clone())];
            gaps("a new life at once", &steps, &[]);
            let state = json!(state(platform, changes(platform, &steps)));
            assert_eq!([&state["status"], &state["fields"]["name"]["value"]], [&json!("active"), &json!("Again")]);
        }
    }
}

#[test]
fn members_prove_what_is_missing_where_all_are_told() {
    let gaps = |what, steps: &[Step], expected: &[Expected]| assert_gaps(what, TENCENT_CHAT, steps, expected);
    let begin = || (0.0, CREATED, created());
    gaps(
        "a stranger leaves",
        &[begin(), (90.0, LEFT, members(&["bob", "eve"]))],
        &[("member_unknown", 90.0, Value::Null, json!("eve"))],
    );
    gaps(
        "a stranger is changed",
        &[begin(), (90.0, CHANGED, json!({ "member": "eve", "role": "Admin" }))],
        &[("member_unknown", 90.0, Value::Null, json!("eve"))],
    );
    gaps(
        "a member joins",
        &[begin(), (90.0, JOINED, members(&["eve", "bob"]))],
        &[("member_known", 90.0, Value::Null, json!("bob"))],
    );
    gaps(
        "one of each",
        &[
            begin(),
            (90.0, JOINED, members(&["eve"])),
            (180.0, CHANGED, json!({ "member": "eve", "role": "Admin" })),
            (270.0, LEFT, members(&["eve"])),
            (360.0, JOINED, members(&["eve"])),
        ],
        &[],
    );
    gaps(
        "left before the joining",
        &[begin(), (90.0, LEFT, members(&["eve"])), (91.0, JOINED, members(&["eve"]))],
        &[],
    );
    gaps(
        "joined before the leaving",
        &[begin(), (90.0, JOINED, members(&["bob"])), (91.0, LEFT, members(&["bob"]))],
        &[],
    );
    gaps(
        "changed before the joining",
        &[begin(), (90.0, CHANGED, json!({ "member": "eve", "role": "Admin" })), (91.0, JOINED, members(&["eve"]))],
        &[],
    );
    gaps(
        "changed after the leaving",
        &[begin(), (90.0, LEFT, members(&["bob"])), (91.0, CHANGED, json!({ "member": "bob", "role": "Admin" }))],
        &[],
    );
    gaps(
        "too often for any order",
        &[begin(), (90.0, LEFT, members(&["eve"])), (91.0, JOINED, members(&["eve"])), (92.0, LEFT, members(&["eve"]))],
        &[("member_unknown", 92.0, Value::Null, json!("eve"))],
    );
    gaps(
        "the owner is a member, listed or not",
        &[(0.0, CREATED, json!({ "type": "Public", "owner": "ann" })), (90.0, LEFT, members(&["ann"]))],
        &[],
    );
}

/// What explains each without a loss: nothing is reported.
#[test]
fn what_has_an_innocent_explanation_is_no_gap() {
    let leaving = |group_type: &str| {
        [
            (0.0, CREATED, json!({ "type": group_type, "owner": "ann" })),
            (90.0, JOINED, members(&["bob"])),
            (180.0, LEFT, members(&["eve"])),
        ]
    };
    // Types whose members come and go without a callback, or that are not known.
    for group_type in ["AVChatRoom", "BChatRoom", "SomethingNew", ""] {
        assert_gaps(group_type, TENCENT_CHAT, &leaving(group_type), &[]);
    }
    assert_gaps("OpenIM tells of no invited member", OPENIM, &leaving("2"), &[]);
    // An imported group has no creation, so that its members are not known.
    assert_gaps(
        "imported",
        TENCENT_CHAT,
        &leaving("Public")[1..],
        &[("no_creation", 90.0, json!("group.created"), json!("member.joined"))],
    );
    // Joining is switched off in the console: the ledger has none of this app.
    let mut fold = fold_of(TENCENT_CHAT);
    for change in changes(TENCENT_CHAT, &[leaving("Public")[0].clone(), leaving("Public")[2].clone()]) {
        fold.add(change);
    }
    let folded = fold.end(true);
    assert_eq!(folded.kinds_to_find().iter().map(|kind| kind.as_str()).collect::<Vec<_>>(), ["member.joined"]);
    let state = folded.state(false).unwrap();
    assert_eq!((state.members_complete, state.gaps.len()), (false, 0));
    // A callback that waited in the fallback queue is recorded late, at its own place.
    let mut late = changes(
        TENCENT_CHAT,
        &[(0.0, CREATED, created()), (90.0, OWNER, owner("ann", "bob")), (180.0, OWNER, owner("bob", "eve"))],
    );
    late[1].recorded_at = Some(now());
    assert_eq!(super::state(TENCENT_CHAT, late).gaps, []);
}

/// Retention deletes the beginning of a history, and of a history that had none at first, its middle.
#[test]
fn what_retention_deletes_is_no_gap() {
    let day = 24.0 * 60.0 * 60.0;
    let expiring = |seconds: f64, kind, mut details: Value, days: f64| {
        details["expires_at"] = json!(BEGIN / 1_000 + (seconds + days * day) as i64);
        (seconds, kind, details)
    };
    let late = 300.0 * day;
    for platform in [TENCENT_CHAT, OPENIM] {
        let steps =
            [expiring(late, OWNER, owner("bob", "eve"), 90.0), expiring(late + 90.0, OWNER, owner("eve", "dan"), 90.0)];
        assert_gaps("its beginning is gone", platform, &steps, &[]);
        // Expired, and not deleted yet: as good as gone, because what came after it may be.
        let steps = [expiring(0.0, CREATED, created(), 90.0), expiring(late, OWNER, owner("bob", "eve"), 90.0)];
        let state = json!(state(platform, changes(platform, &steps)));
        assert_eq!([&state["changes"], &state["complete"], &state["gaps"]], [&json!(1), &json!(false), &json!([])]);
        // Switched on after the creation, and then a change expired.
        let steps = [
            (0.0, CREATED, created()),
            expiring(late, OWNER, owner("bob", "eve"), 90.0),
            expiring(late + 90.0, LEFT, members(&["zoe"]), 90.0),
        ];
        assert_gaps("its middle may be gone", platform, &steps, &[]);
        let steps = [
            (0.0, CREATED, created()),
            (1.0, DISMISSED, json!({})),
            expiring(late, INFO, json!({ "name": "x" }), 90.0),
        ];
        assert_gaps("so may be a creation", platform, &steps, &[]);
        let steps = [(0.0, CREATED, created()), expiring(late, CREATED, created(), 90.0)];
        assert_gaps("and a dismissal", platform, &steps, &[]);
        // Switched on so late that nothing can have expired.
        let steps = [(late, CREATED, created()), expiring(late + 90.0, OWNER, owner("bob", "eve"), 90.0)];
        assert_gaps(
            "nothing is gone",
            platform,
            &steps,
            &[("owner_mismatch", late + 90.0, json!("ann"), json!("bob"))],
        );
        let steps = [
            (0.0, CREATED, created()),
            expiring(late, OWNER, owner("ann", "eve"), 90.0),
            expiring(late + 90.0, OWNER, owner("bob", "dan"), 90.0),
        ];
        assert_gaps(
            "the owner is known again",
            platform,
            &steps,
            &[("owner_mismatch", late + 90.0, json!("eve"), json!("bob"))],
        );
    }
    // The retention was lowered: what came between the two may be gone, though both expire.
    let steps = [
        expiring(0.0, CREATED, created(), 400.0),
        expiring(late, OWNER, owner("bob", "eve"), 90.0),
        expiring(late + 90.0, LEFT, members(&["zoe"]), 90.0),
    ];
    for platform in [TENCENT_CHAT, OPENIM] {
        assert_gaps("lowered", platform, &steps, &[]);
        // Switched on after the first record that is there, it explains nothing before that.
        let steps = [(late, INFO, json!({ "name": "x" })), expiring(late + 90.0, INFO, json!({ "name": "y" }), 90.0)];
        assert_gaps(
            "older than its retention",
            platform,
            &steps,
            &[("no_creation", late, json!("group.created"), json!("group.info_changed"))],
        );
    }
}

/// A group that exists is created again: what came before is of its old life, and what nobody knows is no proof.
#[test]
fn a_second_creation_is_not_pulled_before_the_old_life() {
    for platform in [TENCENT_CHAT, OPENIM] {
        let again = json!({ "type": "Public", "owner": "kim", "name": "Again" });
        let steps = [
            (0.0, INFO, json!({ "name": "old" })),
            (1_000.0, DISMISSED, json!({})),
            (1_000.5, CREATED, again.clone()),
            (2_000.0, INFO, json!({ "introduction": "x" })),
        ];
        assert_gaps("without the first creation", platform, &steps, &[]);
        let state = json!(state(platform, changes(platform, &steps)));
        assert_eq!(
            [&state["status"], &state["fields"]["name"]["value"], &state["complete"]],
            [&json!("active"), &json!("Again"), &json!(true)]
        );

        let steps = [(0.0, CREATED, created()), (997.0, OWNER, owner("ann", "bob")), (1_000.0, CREATED, again)];
        assert_gaps(
            "without the dismissal",
            platform,
            &steps,
            &[("created_twice", 1_000.0, json!(0.0), json!(1_000.0))],
        );
        let state = json!(super::state(platform, changes(platform, &steps)));
        assert_eq!(state["fields"]["owner"]["value"], "kim");
    }
}

/// Between one and two windows after the dismissal, a creation comes before what was recorded within the window before it.
#[test]
fn a_second_creation_comes_before_the_changes_of_its_own_life() {
    let again = json!({ "type": "Public", "owner": "ann", "name": "Again" });
    let steps = |window: f64| {
        [
            (0.0, CREATED, created()),
            (1_000.0, DISMISSED, json!({ "owner": "ann" })),
            (1_000.0 + 0.7 * window, OWNER, owner("ann", "lou")),
            (1_000.0 + 0.75 * window, INFO, json!({ "name": "Renamed" })),
            (1_000.0 + 1.2 * window, CREATED, again.clone()),
            (2_000.0, OWNER, owner("lou", "max")),
        ]
    };
    for platform in [TENCENT_CHAT, OPENIM] {
        let steps = steps(platform.evidence.window.as_secs_f64());
        assert_gaps("a new life", platform, &steps, &[]);
        let state = json!(state(platform, changes(platform, &steps[..5])));
        assert_eq!(state["fields"]["owner"]["value"], "lou");
        assert_eq!(state["fields"]["name"]["value"], "Renamed");
        // It may have been the old life's.
        assert_eq!(state["members_complete"], false);
    }
}

/// What is in doubt about people, and what a platform tells twice, hides no missing creation or dismissal.
#[test]
fn lives_that_are_close_together_hide_no_later_loss() {
    for platform in [TENCENT_CHAT, OPENIM] {
        let window = platform.evidence.window.as_secs_f64();
        let again = json!({ "type": "Public", "owner": "kim" });
        assert_gaps(
            "a dismissal that is told twice",
            platform,
            &[
                (0.0, CREATED, created()),
                (1_000.0, DISMISSED, json!({})),
                (1_001.0, DISMISSED, json!({ "again": true })),
                (4_600.0, INFO, json!({ "name": "x" })),
            ],
            &[("change_after_dismissal", 4_600.0, json!(1_000.0), json!("group.info_changed"))],
        );
        for apart in [0.5 * window, 1.5 * window] {
            assert_gaps(
                "two creations",
                platform,
                &[(0.0, CREATED, created()), (apart, CREATED, again.clone())],
                &[("created_twice", apart, json!(0.0), json!(apart))],
            );
        }
        let steps = [
            (0.0, CREATED, created()),
            (5_000.0, DISMISSED, json!({})),
            (5_000.0 + 0.2 * window, CREATED, again.clone()),
            (5_000.0 + 0.6 * window, JOINED, members(&["bob"])),
        ];
        assert_gaps(
            "without the second dismissal",
            platform,
            &[&steps[..], &[(40_000.0, CREATED, json!({ "type": "Public", "owner": "max" }))]].concat(),
            &[("created_twice", 40_000.0, json!(5_000.0 + 0.2 * window), json!(40_000.0))],
        );
        assert_gaps(
            "without the third creation",
            platform,
            &[&steps[..], &[(20_000.0, DISMISSED, json!({})), (40_000.0, INFO, json!({ "name": "x" }))]].concat(),
            &[("change_after_dismissal", 40_000.0, json!(20_000.0), json!("group.info_changed"))],
        );
        // An owner in doubt still says in which order two changes were.
        let steps = [
            (0.0, CREATED, created()),
            (5_000.0, DISMISSED, json!({})),
            (5_000.0 + 0.2 * window, CREATED, again),
            (5_000.0 + 0.6 * window, JOINED, members(&["bob"])),
            (9_000.0, OWNER, owner("lou", "kim")),
            (9_000.0 + 0.5 * window, OWNER, owner("kim", "lou")),
        ];
        assert_eq!(json!(state(platform, changes(platform, &steps)))["fields"]["owner"]["value"], "kim");
        let steps = [
            (0.0, OWNER, owner("bob", "eve")),
            (0.3 * window, OWNER, owner("eve", "dan")),
            (9_000.0, OWNER, owner("eve", "kim")),
        ];
        assert_gaps(
            "older than the ledger",
            platform,
            &steps,
            &[
                ("no_creation", 0.0, json!("group.created"), json!("group.owner_changed")),
                ("owner_mismatch", 9_000.0, json!("dan"), json!("eve")),
            ],
        );
    }
}

#[test]
fn a_dismissal_may_name_who_left_within_the_window() {
    for (dismissed, left) in [(90.0, 91.0), (91.0, 90.0)] {
        let steps = [
            (0.0, CREATED, json!({ "type": "Public", "owner": "ann", "members": ["bob"] })),
            (dismissed, DISMISSED, members(&["bob"])),
            (left, LEFT, members(&["bob"])),
        ];
        assert_gaps("either order", TENCENT_CHAT, &steps, &[]);
    }
}

/// After a change that proves it to exist again, nothing is known of the group but what came since.
#[test]
fn a_life_without_its_creation_begins_with_what_proves_it() {
    let steps = [
        (0.0, CREATED, created()),
        (90.0, DISMISSED, json!({})),
        (190.0, JOINED, members(&["eve"])),
        (290.0, INFO, json!({ "name": "Again" })),
        (390.0, OWNER, owner("kim", "lou")),
    ];
    assert_gaps(
        "one gap",
        TENCENT_CHAT,
        &steps,
        &[("change_after_dismissal", 190.0, json!(90.0), json!("member.joined"))],
    );
    let state = json!(state(TENCENT_CHAT, changes(TENCENT_CHAT, &steps)));
    assert_eq!(
        [&state["status"], &state["complete"], &state["members_complete"]],
        [&json!("active"), &json!(false), &json!(false)]
    );
    assert_eq!(state["members"].as_object().unwrap().keys().collect::<Vec<_>>(), ["eve"]);
    assert_eq!(state["fields"].as_object().unwrap().keys().collect::<Vec<_>>(), ["name", "owner"]);
}

/// A record whose body cannot be had says that something changed, and not what.
#[test]
fn what_a_missing_body_said_is_no_gap() {
    let mut changes = changes(
        TENCENT_CHAT,
        &[
            (0.0, CREATED, created()),
            (90.0, JOINED, members(&["eve"])),
            (180.0, LEFT, members(&["eve"])),
            (270.0, OWNER, owner("dan", "kim")),
        ],
    );
    changes[1].change = None;
    changes[1].group_type = Some("Work".to_owned());
    let state = json!(super::state(TENCENT_CHAT, changes));
    assert_eq!([&state["gaps"], &state["members_complete"]], [&json!([]), &json!(false)]);
    assert_eq!(state["fields"]["group_type"]["value"], "Work", "every change shows the type");
}

/// As of a time, what follows within the window explains, and does not count; of a history that is not read to its end, what waits
/// does neither.
#[test]
fn what_is_cut_off_is_no_gap() {
    let steps = [(0.0, CREATED, created()), (90.0, OWNER, owner("bob", "eve")), (92.0, OWNER, owner("ann", "bob"))];
    let mut fold = fold_of(TENCENT_CHAT).up_to(Some(super::time(BEGIN + 91_000)));
    for change in changes(TENCENT_CHAT, &steps) {
        fold.add(change);
    }
    let state = json!(fold.end(true).state(true).unwrap());
    assert_eq!(
        [&state["gaps"], &state["changes"], &state["fields"]["owner"]["value"]],
        [&json!([]), &json!(2), &json!("eve")]
    );

    let late = [(0.0, INFO, json!({ "name": "x" })), (3.0, CREATED, created())];
    let mut fold = fold_of(TENCENT_CHAT).up_to(Some(super::time(BEGIN + 1_000)));
    for change in changes(TENCENT_CHAT, &late) {
        fold.add(change);
    }
    assert_eq!(fold.end(true).state(true).unwrap().gaps, []);

    let mut fold = fold_of(TENCENT_CHAT);
    for change in changes(TENCENT_CHAT, &steps[..2]) {
        fold.add(change);
    }
    let state = json!(fold.end(false).state(true).unwrap());
    assert_eq!([&state["gaps"], &state["changes"], &state["finished"]], [&json!([]), &json!(1), &json!(false)]);
}

#[test]
fn at_most_a_hundred_gaps_of_a_kind_are_told_and_all_are_counted() {
    let steps: Vec<Step> = [(0.0, CREATED, created())]
        .into_iter()
        .chain((1..=150).map(|step| (f64::from(step) * 90.0, LEFT, members(&["eve", "zoe"]))))
        .collect();
    let state = json!(state(TENCENT_CHAT, changes(TENCENT_CHAT, &steps)));
    assert_eq!(state["gaps"].as_array().unwrap().len(), 100);
    assert_eq!(state["gap_counts"], json!({ "member_unknown": 300 }));
}
