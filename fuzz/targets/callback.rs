//! Any URL, headers and body, sent to the platform that `PLATFORM` names.
#![no_main]

use std::sync::LazyLock;

use group_ledger::platform::{PLATFORMS, Platform};
use group_ledger_fuzz::{platforms, request, run};
use libfuzzer_sys::fuzz_target;

static RECEIVERS: LazyLock<[Box<dyn Platform>; 2]> = LazyLock::new(|| {
    let name = std::env::var("PLATFORM").expect("PLATFORM names a platform");
    let platform = PLATFORMS.into_iter().find(|platform| platform.name == name);
    platforms(platform.expect("PLATFORM is the name of a platform"))
});

fuzz_target!(|bytes: &[u8]| {
    if let Some(request) = request(bytes) {
        RECEIVERS.iter().for_each(|platform| run(&**platform, &request));
    }
});
