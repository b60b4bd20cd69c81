//! Any API Gateway event, sent to every platform.
#![no_main]

use std::sync::LazyLock;

use group_ledger::domain::request::Request;
use group_ledger::domain::timestamp::Timestamp;
use group_ledger::host::lambda::event::Event;
use group_ledger::platform::{PLATFORMS, Platform};
use group_ledger_fuzz::{platforms, run};
use libfuzzer_sys::fuzz_target;

static RECEIVERS: LazyLock<Vec<Box<dyn Platform>>> =
    LazyLock::new(|| PLATFORMS.into_iter().flat_map(platforms).collect());

fuzz_target!(|event: &str| {
    let Ok(event) = serde_json::from_str::<Event>(event) else { return };
    let Ok(request) = event.into_request(Timestamp::now(), None) else { return };
    let request = Request::of(&request, Timestamp::now());
    RECEIVERS.iter().for_each(|platform| run(&**platform, &request));
});
