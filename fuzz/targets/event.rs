//! Any API Gateway event.
#![no_main]

use std::sync::LazyLock;

use group_ledger::domain::request::Request;
use group_ledger::domain::timestamp::Timestamp;
use group_ledger::host::event::Event;
use group_ledger::platform::openim::OpenIm;
use group_ledger::platform::tencent_chat::TencentChat;
use group_ledger_fuzz::{platforms, run};
use libfuzzer_sys::fuzz_target;

static PLATFORMS: LazyLock<([TencentChat; 2], [OpenIm; 2])> = LazyLock::new(|| (platforms(), platforms()));

fuzz_target!(|event: &str| {
    let Ok(event) = serde_json::from_str::<Event>(event) else { return };
    let Ok(request) = event.into_request(Timestamp::now(), None) else { return };
    let request = Request::of(&request, Timestamp::now());
    PLATFORMS.0.iter().for_each(|platform| run(platform, &request));
    PLATFORMS.1.iter().for_each(|platform| run(platform, &request));
});
