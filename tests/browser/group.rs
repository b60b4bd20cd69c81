//! A group: how it is found, what is seen of it, and the moments at which it is seen.

use serde_json::json;

use super::driver::{Browser, View};
use super::{
    TOKEN, choose, click_named, deliver, demo, end, group_at, open, stack, tencent, wait_for_count, wait_for_text,
};

const ROWS: &str = ".history .changes > li";
/// 2024-05-07T02:40:00.000Z.
const TIME: i64 = 1_715_049_600_000;
const GROUP: &str = "tencent-chat#1400000000#@TGS#2J4SZEAEL";
const ID: &str = "@TGS#2J4SZEAEL";

async fn search(browser: &Browser, text: &str) {
    browser.evaluate("document.querySelector('input[type=search]').value = '';").await;
    browser.type_text("input[type=search]", text).await;
    browser.press(&["Enter"]).await;
}

async fn go(browser: &Browser, fragment: &str) {
    browser.evaluate(&format!("location.hash = {};", json!(fragment))).await;
}

/// A group with a name, an introduction that is set and changed, and three changes of one moment.
fn changes() -> Vec<Vec<u8>> {
    let changed = |time: i64, mut body: serde_json::Value| {
        body["EventTime"] = json!(TIME + time);
        body["Operator_Account"] = json!("leckie");
        tencent("CallbackAfterGroupInfoChanged", ID, body)
    };
    let created = json!({ "Owner_Account": "leckie", "Operator_Account": "leckie", "Type": "Public", "Name": "First",
        "MemberList": [{ "Member_Account": "bob" }], "EventTime": TIME });
    vec![
        tencent("CallbackAfterCreateGroup", ID, created),
        changed(60_000, json!({ "Name": "Second", "Extra": 12_345_678_901_234_567_890_u64 })),
        changed(120_000, json!({ "Introduction": "a" })),
        changed(120_000, json!({ "Introduction": "b" })),
        changed(120_000, json!({ "Introduction": "c" })),
        changed(180_000, json!({ "Name": "", "Introduction": "d" })),
    ]
}

#[tokio::test]
async fn a_group_is_found_from_the_list_and_by_each_form_of_its_id() {
    let stack = stack().await;
    let [_, night_shift, hikers] = demo(&stack).await;
    let browser = Browser::open(View::DESKTOP).await;
    open(&browser, &stack, "").await;
    browser.click(".feed a.group").await;
    browser.wait_for("main.group .heading").await;
    let is_at = |key: &str| format!("decodeURIComponent(location.hash.split('?')[0]) === '#/group/' + {}", json!(key));
    let id = night_shift.splitn(3, '#').last().unwrap();
    let hikers_id = hikers.splitn(3, '#').last().unwrap();
    for (text, key) in [
        (id, &night_shift),
        (hikers_id, &hikers),
        (id.strip_prefix("@TGS#").unwrap(), &night_shift),
        (&hikers, &hikers),
        (&night_shift, &night_shift),
    ] {
        go(&browser, "#/now").await;
        browser.wait_for("main.now").await;
        search(&browser, text).await;
        browser.wait_until(&is_at(key)).await;
        browser.wait_for("main.group .heading").await;
    }
    search(&browser, "nobody").await;
    wait_for_text(&browser, ".found", "No group has the id nobody").await;
    // A part of an id, or of a name that the list has told.
    for text in ["HIKE", "周末徒步"] {
        search(&browser, text).await;
        wait_for_count(&browser, ".found a", 1).await;
        wait_for_text(&browser, ".found a", hikers_id).await;
    }
    for (key, text) in
        [("tencent-chat#1400000000#nobody", "Nothing is recorded for this group"), ("x", "not a group key")]
    {
        go(&browser, &group_at(key, &[])).await;
        wait_for_text(&browser, "main .state", text).await;
    }
    browser.assert_quiet(&["400", "404"]).await;
    end(stack).await;
}

#[tokio::test]
async fn gaps_are_told_beside_the_state_and_where_they_are_in_the_history() {
    let stack = stack().await;
    let [_, night_shift, _] = demo(&stack).await;
    let browser = Browser::open(View::DESKTOP).await;
    open(&browser, &stack, &group_at(&night_shift, &[])).await;
    wait_for_count(&browser, ".gaps li", 4).await;
    wait_for_count(&browser, ".history .gap", 4).await;
    let script = "
        const told = [...document.querySelectorAll('.gaps a')].map(link => new URLSearchParams(link.hash.split('?')[1]).get('change'));
        const marked = [...document.querySelectorAll('.gap')].map(gap => gap.closest('li').dataset.key);
        return JSON.stringify(told.sort()) === JSON.stringify(marked.sort());";
    assert_eq!(browser.evaluate(script).await, true);
    for text in [
        "The owner was sam; this change says it was tom",
        "walt was not a member",
        "vic was a member already",
        "had been dismissed",
    ] {
        wait_for_text(&browser, ".gaps", text).await;
        wait_for_text(&browser, ".history", text).await;
    }
    click_named(&browser, ".history .gap", "What does this mean?").await;
    browser.wait_for(".history .gap details[open]").await;

    // A value leads to the change that set it.
    browser.click(".panel .origin").await;
    browser.wait_for("li.meant details[open]").await;
    wait_for_text(&browser, "li.meant .sentence", "uma renamed the group to “Night shift (again)”").await;
    assert_eq!(browser.evaluate("return document.activeElement.closest('li')?.className;").await, "meant");

    choose(&browser, ".history select", "members").await;
    wait_for_count(&browser, ROWS, 3).await;
    browser.assert_quiet(&[]).await;
    end(stack).await;
}

#[tokio::test]
async fn a_group_is_seen_as_it_was_at_any_moment() {
    let stack = stack().await;
    for change in changes() {
        deliver(&stack, &change).await;
    }
    let browser = Browser::open(View::DESKTOP).await;
    open(&browser, &stack, &group_at(GROUP, &[])).await;
    wait_for_count(&browser, ROWS, 6).await;
    assert_eq!(browser.evaluate("return document.querySelector('.past');").await, json!(null));
    // From now back, change by change; those of one moment are one step.
    let sees = async |title: &str, rows: usize| {
        wait_for_count(&browser, ROWS, rows).await;
        wait_for_text(&browser, "h1", title).await;
    };
    for (title, rows) in [("Group without a known name", 6), ("Second", 5), ("Second", 2), ("First", 1)] {
        click_named(&browser, ".travel", "Previous change").await;
        browser.wait_for(".past").await;
        sees(title, rows).await;
    }
    wait_for_text(&browser, ".past", "May 7, 2024, 02:40:00").await;
    for (title, rows) in [("Second", 2), ("Second", 5), ("Group without a known name", 6)] {
        click_named(&browser, ".travel", "Next change").await;
        sees(title, rows).await;
    }
    click_named(&browser, ".travel", "Next change").await;
    browser.wait_until("!document.querySelector('.past')").await;
    // A date is taken when it was typed, not at its first digit, and what was typed in has the focus still.
    browser.type_text("input[type=datetime-local]", "05072024024130AM").await;
    browser.press(&["Enter"]).await;
    sees("Second", 2).await;
    let focus = browser.evaluate("return [document.activeElement.type, location.hash.split('at=')[1]];").await;
    assert_eq!(focus, json!(["datetime-local", "2024-05-07T02%3A41%3A30.000Z"]));
    choose(&browser, "input[type=range]", "0").await;
    sees("First", 1).await;
    wait_for_text(&browser, ".panel", "bob").await;
    click_named(&browser, ".past", "Back to now").await;
    sees("Group without a known name", 6).await;
    browser.wait_until("!document.querySelector('.past')").await;

    browser.click(&format!("{ROWS}:last-child summary")).await;
    click_named(&browser, ".details", "See the group right after this").await;
    sees("First", 1).await;
    go(&browser, &group_at(GROUP, &[("at", "2020-01-01T00:00:00.000Z")])).await;
    wait_for_text(&browser, "main .state", "At this time nothing was recorded for this group").await;
    click_named(&browser, "main .state", "Go there").await;
    sees("First", 1).await;
    browser.assert_quiet(&["404"]).await;
    end(stack).await;
}

#[tokio::test]
async fn the_details_of_a_change_are_all_that_is_known_of_it() {
    let stack = stack().await;
    for change in changes() {
        deliver(&stack, &change).await;
    }
    let browser = Browser::open(View::DESKTOP).await;
    open(&browser, &stack, &group_at(GROUP, &[])).await;
    wait_for_count(&browser, ROWS, 6).await;
    browser.evaluate(
        "Object.defineProperty(navigator, 'clipboard', { value: { writeText: async text => { window.copied = text; } } });",
    )
    .await;
    browser.click(&format!("{ROWS}:nth-last-child(2) summary")).await;
    wait_for_text(&browser, "details[open] .details pre", "\"Extra\": 12345678901234567890").await;
    let text = browser.text("details[open] .details").await;
    for part in [
        "Field\tBefore\tAfter\nname\tFirst\tSecond",
        "reported by the sender; nothing vouches for it",
        "203.0.113.7",
        "iOS",
        "2024-05-07 02:41:00.000 UTC",
        "group.info_changed",
        "Group.CallbackAfterGroupInfoChanged",
        GROUP,
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    click_named(&browser, "details[open] .details", "As sent").await;
    wait_for_text(&browser, "details[open] .details pre", "\"Extra\":12345678901234567890").await;
    let sent = String::from_utf8(changes().swap_remove(1)).unwrap();
    let (_, sent) = sent.split_once("\r\n\r\n").unwrap();
    assert_eq!(browser.text("details[open] .details pre").await, sent);
    click_named(&browser, "details[open] .details .tools", "Copy").await;
    assert_eq!(browser.wait_until("window.copied").await, sent);
    click_named(&browser, ".heading", "Copy the id").await;
    browser.wait_until(&format!("window.copied === '{ID}'")).await;

    click_named(&browser, "details[open] .details", "all their changes to this group").await;
    wait_for_text(&browser, ".history", "Only changes by leckie").await;
    wait_for_count(&browser, ROWS, 6).await;
    go(&browser, &group_at(GROUP, &[("by", "nobody")])).await;
    wait_for_text(&browser, ".history", "No matching changes").await;
    click_named(&browser, ".history", "Show all changes").await;
    wait_for_count(&browser, ROWS, 6).await;
    browser.click(&format!("{ROWS}:nth-last-child(2) summary")).await;

    // The link shows the same to whoever has a token.
    click_named(&browser, "details[open] .details", "Copy link").await;
    let link = browser.wait_until("window.copied.startsWith('http') && window.copied").await;
    let link = link.as_str().unwrap();
    assert!(!link.contains(TOKEN), "{link}");
    let other = {
        drop(browser);
        Browser::open(View::DESKTOP).await
    };
    other.goto(link).await;
    other.type_text("#token", TOKEN).await;
    other.press(&["Enter"]).await;
    wait_for_text(&other, "li.meant details[open] pre", "12345678901234567890").await;
    other.assert_quiet(&[]).await;
    end(stack).await;
}

#[tokio::test]
async fn a_long_history_and_many_members_are_loaded_as_they_are_looked_at_and_saved_whole() {
    let stack = stack().await;
    let members: Vec<_> = (0..120).map(|number| json!({ "Member_Account": format!("u{number}") })).collect();
    let created =
        json!({ "Owner_Account": "leckie", "Type": "Public", "Name": "n", "MemberList": members, "EventTime": TIME });
    deliver(&stack, &tencent("CallbackAfterCreateGroup", ID, created)).await;
    for number in 1..=130 {
        let body = json!({ "Introduction": format!("\"i\",\n{number}"), "EventTime": TIME + number });
        deliver(&stack, &tencent("CallbackAfterGroupInfoChanged", ID, body)).await;
    }
    let browser = Browser::open(View::DESKTOP).await;
    browser.cdp("Browser.setDownloadBehavior", json!({ "behavior": "deny" })).await;
    open(&browser, &stack, &group_at(GROUP, &[])).await;
    wait_for_count(&browser, ROWS, 100).await;
    // To the end, which moves while rows come into view and get their height.
    let scrolled =
        format!("scrollTo(0, document.body.scrollHeight), document.querySelectorAll('{ROWS}').length === 131");
    browser.wait_until(&scrolled).await;
    browser.wait_for(".history .end:not([hidden])").await;

    // The owner, too.
    wait_for_count(&browser, ".members > li", 50).await;
    click_named(&browser, ".panel", "Show more members").await;
    wait_for_count(&browser, ".members > li", 121).await;
    browser.wait_for(".panel .more[hidden]").await;

    // In pages of 50, so that there are several to be joined.
    let script = format!(
        "const ask = window.fetch;
        window.fetch = (url, options) => {{
            if (url.searchParams.get('limit') === '1000') url.searchParams.set('limit', 50);
            return ask(url, options);
        }};
        const make = URL.createObjectURL;
        URL.createObjectURL = blob => {{
            window.saved = blob;
            return make.call(URL, blob);
        }};
        window.whole = format => ask(
            `ledger/v1/history?${{new URLSearchParams({{ group_key: {}, limit: 1000, format }})}}`,
            {{ headers: {{ Authorization: 'Bearer {TOKEN}' }} }}).then(answer => answer.text());",
        json!(GROUP)
    );
    browser.evaluate(&script).await;
    for (name, format, lines) in [("⤓ CSV", "csv", 132), ("⤓ JSON lines", "ndjson", 131)] {
        browser.evaluate("window.saved = null;").await;
        click_named(&browser, ".history", name).await;
        browser.wait_until("window.saved").await;
        let script = format!("return Promise.all([window.saved.text(), window.whole('{format}')]);");
        let texts = browser.evaluate(&script).await;
        let [saved, whole] = [0, 1].map(|number| texts[number].as_str().unwrap());
        assert_eq!(saved, whole, "{format}");
        if format == "ndjson" {
            assert_eq!(saved.lines().count(), lines);
        } else {
            assert_eq!(saved.matches("change_key").count(), 1, "one header");
        }
    }
    browser.assert_quiet(&[]).await;
    end(stack).await;
}
