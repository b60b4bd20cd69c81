//! Any path, query and body.
#![no_main]

use std::sync::LazyLock;

use group_ledger::platform::tencent_chat::TencentChat as Platform;
use group_ledger_fuzz::{platforms, request, run};
use libfuzzer_sys::fuzz_target;

static PLATFORMS: LazyLock<[Platform; 2]> = LazyLock::new(platforms);

fuzz_target!(|bytes: &[u8]| {
    if let Some(request) = request(bytes) {
        PLATFORMS.iter().for_each(|platform| run(platform, &request));
    }
});
