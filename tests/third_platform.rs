//! The function of the third platform, which is an example: what the general tests hold the platforms to in process, its built
//! function is held to as well.

use std::collections::BTreeMap;

use crate::hostile::function_answers;
use crate::reliability::{ALWAYS, Case, DOWN, FINE, check_all};
use crate::support::EXAMPLE_CHAT;
use crate::support::fault::{Fault, Transport};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_answers_whatever_it_is_invoked_with() {
    function_answers(EXAMPLE_CHAT).await;
}

/// Some cases of each kind: what a platform adds to the others' cases is its callback and its answers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_loses_none_of_its_callbacks() {
    let down = (DOWN, ALWAYS);
    let ways = [
        [FINE, FINE],
        [(Fault::LostAnswer, 1), FINE],
        [down, FINE],
        [(Fault::Answer(400, "ThrottlingException"), ALWAYS), FINE],
        [(Fault::Hang, ALWAYS), (Fault::LostAnswer, 1)],
        [down, down],
        [(Fault::Refused, ALWAYS), (Fault::Refused, ALWAYS)],
    ];
    let case = |[ledger, fallback_queue]: [(Fault, usize); 2]| Case {
        transport: Transport::Plain,
        platform: EXAMPLE_CHAT.name,
        ledger,
        fallback_queue,
    };
    let outcomes = check_all(ways.map(case).into()).await;
    let expected = [("not_stored", 2), ("queued", 3), ("recorded", 2)];
    assert_eq!(outcomes, BTreeMap::from(expected.map(|(outcome, count)| (outcome.to_owned(), count))));
}
