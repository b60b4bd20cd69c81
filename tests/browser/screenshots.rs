//! The pictures of the page in the README, from the demo's week: `make screenshots` makes them.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use group_ledger::domain::timestamp::Timestamp;
use serde_json::json;
use tokio::time::sleep;

use super::driver::{Browser, View};
use super::{open, stack};
use crate::support::cli::run;
use crate::support::{post, send};

const FOLDER: &str = "docs/page";

/// What happens while somebody looks: the command after `Group.CallbackAfter`, and the fields of its body.
fn live() -> [(&'static str, serde_json::Value); 9] {
    [
        (
            "NewMemberJoin",
            json!({ "Operator_Account": "ann", "JoinType": "Invited", "NewMemberList": [{ "Member_Account": "lee" }] }),
        ),
        (
            "GroupInfoChanged",
            json!({ "Operator_Account": "eve", "Notification": "Sunday: 15 km around Maridalsvannet, 10:00" }),
        ),
        (
            "GroupAttrChanged",
            json!({ "Operator_Account": "eve", "OptionType": "modify",
            "GroupAttr": [{ "key": "distance", "value": "15 km" }, { "key": "pace", "value": "5:45" }] }),
        ),
        (
            "MemberExit",
            json!({ "Operator_Account": "eve", "ExitType": "Kicked",
            "ExitMemberList": [{ "Member_Account": "spam-1" }, { "Member_Account": "spam-2" }, { "Member_Account": "spam-3" }] }),
        ),
        ("MemberFieldChanged", json!({ "Operator_Account": "eve", "Member_Account": "ann", "Role": "Admin" })),
        ("GroupInfoChanged", json!({ "Operator_Account": "ann", "Introduction": "" })),
        (
            "ChangeGroupOwner",
            json!({ "Operator_Account": "eve", "OldOwner_Account": "eve", "NewOwner_Account": "ann" }),
        ),
        (
            "CreateTopic",
            json!({ "Operator_Account": "ann", "TopicId": "@TGS#_@TGS#cFELL@TOPIC#_shoes", "Name": "Shoes" }),
        ),
        ("GroupInfoChanged", json!({ "Operator_Account": "leckie", "Name": "Trail runners" })),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "make screenshots"]
async fn the_page_in_pictures() {
    let stack = stack().await;
    let url = format!("http://127.0.0.1:{}", stack.ports[0]);
    let sent = run(&BTreeMap::new(), &["send", &url, "--demo"], "").await;
    sent.succeeded();
    let group = |mark: &str| {
        let key = sent.errors.split('\'').find(|word| word.contains(mark)).unwrap();
        format!("#/group/{}", key.replace('#', "%23"))
    };
    let (community, night_shift) = (group("cTRAIL"), group("NIGHT"));
    for (command, mut body) in live() {
        let command = format!("Group.CallbackAfter{command}");
        body["CallbackCommand"] = json!(command);
        body["GroupId"] = json!("@TGS#_@TGS#cFELL");
        body["Type"] = json!("Community");
        body["EventTime"] = json!(Timestamp::now().unix_millis());
        let path = format!("/tencent-chat?SdkAppid=1400000000&CallbackCommand={command}");
        send(stack.ports[0], &post(&path, &body.to_string())).await.unwrap();
        // Each at a time of its own.
        sleep(Duration::from_millis(1_300)).await;
    }
    let past = Timestamp::now().plus_millis(-4 * 24 * 60 * 60 * 1_000);
    fs::create_dir_all(FOLDER).unwrap();
    let desktop = View { height: 760, ..View::DESKTOP };
    let dark = View { is_dark: true, ..desktop };
    let chinese = View { language: "zh-CN", ..desktop };
    let change = "[...document.querySelectorAll('.history .changes summary')].find(row => row.textContent.includes('Oslo')).click();";
    for (name, view, fragment, then) in [
        ("now", desktop, String::new(), ""),
        ("gaps", desktop, night_shift.clone(), ""),
        ("past", desktop, format!("{community}?at={past}"), ""),
        ("change", desktop, community.clone(), change),
        ("phone", View::PHONE, night_shift, ""),
        ("dark", dark, community.clone(), ""),
        ("chinese", chinese, community, ""),
    ] {
        let browser = Browser::open(view).await;
        browser.cdp("Emulation.setScrollbarsHidden", json!({ "hidden": true })).await;
        open(&browser, &stack, &fragment).await;
        browser.wait_for(".changes > li").await;
        browser.evaluate(then).await;
        browser.wait_until("document.querySelector('.loading') === null").await;
        browser.assert_quiet(&[]).await;
        fs::write(format!("{FOLDER}/{name}.png"), browser.screenshot().await).unwrap();
    }
    stack.signal("-INT", true).await;
    stack.end().await;
}
