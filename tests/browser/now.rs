//! Now: changes that come by themselves, and what keeps them from coming.

use std::net::Ipv4Addr;

use serde_json::json;
use tokio::net::TcpStream;

use super::driver::{Browser, View};
use super::{choose, click_named, deliver, end, group_at, hurry, open, openim, stack, wait_for_count, wait_for_text};
use crate::local::{Stack, info_changed};
use crate::support::TEST_TIMEOUT;

const ROWS: &str = ".feed .changes > li";
const TIME: i64 = 1_715_049_600_123;

async fn change(stack: &Stack, group: &str) {
    deliver(stack, &info_changed(group, TIME)).await;
}

/// The page's time passes: twice the time between two polls.
async fn polls_pass(browser: &Browser) {
    browser.evaluate("return new Promise(done => setTimeout(done, 4_000));").await;
}

#[tokio::test]
async fn an_empty_ledger_says_how_to_send_the_first_callback_which_then_comes_by_itself() {
    let stack = stack().await;
    let browser = Browser::open(View::DESKTOP).await;
    open(&browser, &stack, "").await;
    wait_for_text(&browser, ".state h2", "Nothing has been recorded in the last 7 days").await;
    let text = browser.text(".state").await;
    let command = format!("group-ledger send http://127.0.0.1:{} --demo", stack.ports[0]);
    assert!(text.contains(&command) && text.contains("Feed: 'on'"), "{text}");
    browser.evaluate("window.is_old = true;").await;
    change(&stack, "@TGS#1").await;
    wait_for_count(&browser, ROWS, 1).await;
    assert_eq!(browser.evaluate("return window.is_old;").await, true, "without loading the page again");
    browser.assert_quiet(&[]).await;
    end(stack).await;
}

#[tokio::test]
async fn the_filters_leave_what_was_asked_for() {
    let stack = stack().await;
    let browser = Browser::open(View::DESKTOP).await;
    hurry(&browser).await;
    change(&stack, "@TGS#1").await;
    deliver(&stack, &openim("QuitGroup", &json!({ "groupID": "g1", "userID": "u1" }))).await;
    deliver(&stack, &openim("SetGroupInfo", &json!({ "groupID": "g1", "groupName": "n1" }))).await;
    open(&browser, &stack, "").await;
    wait_for_count(&browser, ROWS, 3).await;
    choose(&browser, "select[name=platform]", "openim").await;
    wait_for_count(&browser, ROWS, 2).await;
    choose(&browser, "select[name=what]", "members").await;
    wait_for_count(&browser, ROWS, 1).await;
    wait_for_text(&browser, ROWS, "u1 left").await;
    assert_eq!(browser.evaluate("return location.hash;").await, "#/now?platform=openim&what=members");
    // What comes is filtered, too.
    change(&stack, "@TGS#2").await;
    deliver(&stack, &openim("QuitGroup", &json!({ "groupID": "g1", "userID": "u2" }))).await;
    wait_for_count(&browser, ROWS, 2).await;
    wait_for_text(&browser, ROWS, "u2 left").await;
    choose(&browser, "select[name=what]", "topics").await;
    wait_for_text(&browser, ".state h2", "Nothing like this").await;
    click_named(&browser, ".state", "Show everything").await;
    wait_for_count(&browser, ROWS, 5).await;
    browser.assert_quiet(&[]).await;
    end(stack).await;
}

#[tokio::test]
async fn what_is_being_read_stays_where_it_is_until_the_new_changes_are_asked_for() {
    let stack = stack().await;
    let browser = Browser::open(View::DESKTOP).await;
    hurry(&browser).await;
    for number in 0..45 {
        change(&stack, &format!("@TGS#{number}")).await;
    }
    open(&browser, &stack, "").await;
    wait_for_count(&browser, ROWS, 45).await;
    browser.evaluate("scrollTo(0, 500);").await;
    // The first row beneath the heading that stays, once the rows in view have their real height.
    let place = "
        const rows = [...document.querySelectorAll('.feed .changes > li')];
        const row = rows.find(row => row.getBoundingClientRect().top > 60);
        return [scrollY, row.dataset.key, Math.round(row.getBoundingClientRect().top)];";
    browser.wait_until("scrollY > 100").await;
    browser.evaluate("return new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));").await;
    let before = browser.evaluate(place).await;
    for number in 45..48 {
        change(&stack, &format!("@TGS#{number}")).await;
    }
    wait_for_text(&browser, ".pill:not([hidden])", "3 new changes").await;
    wait_for_text(&browser, "[aria-live]", "new change").await;
    assert_eq!(browser.evaluate(place).await, before);
    browser.click(".pill").await;
    wait_for_count(&browser, ROWS, 48).await;
    browser.wait_until("scrollY === 0 && document.querySelector('.pill').hidden").await;
    browser.wait_until("document.querySelector('.feed a.group').title === '@TGS#47'").await;

    // An open change is being read as well.
    browser.click(&format!("{ROWS} summary")).await;
    browser.wait_for(&format!("{ROWS} details[open] pre")).await;
    change(&stack, "@TGS#48").await;
    wait_for_text(&browser, ".pill:not([hidden])", "1 new change").await;
    wait_for_count(&browser, ROWS, 48).await;
    browser.assert_quiet(&[]).await;
    end(stack).await;
}

#[tokio::test]
async fn who_comes_back_from_a_group_finds_the_same_place() {
    let stack = stack().await;
    let browser = Browser::open(View::DESKTOP).await;
    for number in 0..60 {
        change(&stack, &format!("@TGS#{number}")).await;
    }
    open(&browser, &stack, "").await;
    wait_for_count(&browser, ROWS, 50).await;
    // To the end, so that a second page comes.
    browser
        .wait_until(&format!(
            "scrollTo(0, document.body.scrollHeight), document.querySelectorAll('{ROWS}').length === 60"
        ))
        .await;
    browser.evaluate("scrollTo(0, 900);").await;
    let place = browser.wait_until("scrollY > 800 && scrollY").await;
    let link = "Array.from(document.querySelectorAll('.feed a.group')).find(link => link.getBoundingClientRect().top > 100).click()";
    browser.evaluate(link).await;
    browser.wait_for("main.group .heading").await;
    change(&stack, "@TGS#61").await;
    browser.evaluate("history.back();").await;
    browser.wait_until(&format!("scrollY === {place}")).await;
    // And what came meanwhile.
    wait_for_text(&browser, ".pill:not([hidden])", "1 new change").await;
    wait_for_count(&browser, ROWS, 60).await;
    browser.assert_quiet(&[]).await;
    end(stack).await;
}

/// The index shows a change only after later ones: the quick way passes it by.
#[tokio::test]
async fn what_becomes_visible_late_is_shown_once() {
    let stack = stack().await;
    let browser = Browser::open(View::DESKTOP).await;
    hurry(&browser).await;
    let source = "
        const ask = window.fetch;
        window.fetch = async (url, options) => {
            const isQuick = url.searchParams.get('settle') === '0';
            // It has settled, as far as the test is concerned.
            if (url.searchParams.get('settle') === '10') url.searchParams.set('settle', '0');
            const answer = await ask(url, options);
            if (!isQuick || window.hidden) return answer;
            const page = await answer.json();
            const changes = page.changes.filter(change => change.group_id !== '@TGS#late');
            window.hidden = changes.length < page.changes.length;
            return new Response(JSON.stringify({ ...page, changes }), answer);
        };";
    browser.cdp("Page.addScriptToEvaluateOnNewDocument", json!({ "source": source })).await;
    change(&stack, "@TGS#0").await;
    open(&browser, &stack, "").await;
    wait_for_count(&browser, ROWS, 1).await;
    change(&stack, "@TGS#late").await;
    change(&stack, "@TGS#1").await;
    browser.wait_until("window.hidden").await;
    wait_for_count(&browser, ROWS, 2).await;
    // 11 s later.
    browser.evaluate("const now = Date.now; Date.now = () => now() + 11_000;").await;
    wait_for_count(&browser, ROWS, 3).await;
    wait_for_count(&browser, ".feed a.group[title='@TGS#late']", 1).await;
    polls_pass(&browser).await;
    wait_for_count(&browser, ROWS, 3).await;
    browser.assert_quiet(&[]).await;
    end(stack).await;
}

#[tokio::test]
async fn a_page_that_is_paused_or_hidden_asks_for_nothing_until_it_goes_on() {
    let stack = stack().await;
    let browser = Browser::open(View::DESKTOP).await;
    hurry(&browser).await;
    change(&stack, "@TGS#0").await;
    open(&browser, &stack, "").await;
    wait_for_count(&browser, ROWS, 1).await;
    let hide = |is_hidden| {
        format!(
            "Object.defineProperty(document, 'hidden', {{ value: {is_hidden}, configurable: true }});
            document.dispatchEvent(new Event('visibilitychange'));"
        )
    };
    let press = || "document.querySelector('.live').click();".to_owned();
    let asked = "return performance.getEntriesByType('resource').length;";
    for (rows, [stop, go_on]) in [[press(), press()], [hide(true), hide(false)]].into_iter().enumerate() {
        browser.evaluate(&stop).await;
        // What was under way arrives.
        polls_pass(&browser).await;
        let before = browser.evaluate(asked).await;
        change(&stack, &format!("@TGS#{}", rows + 1)).await;
        polls_pass(&browser).await;
        assert_eq!(browser.evaluate(asked).await, before, "{stop}");
        browser.evaluate(&go_on).await;
        wait_for_count(&browser, ROWS, rows + 2).await;
    }
    browser.assert_quiet(&[]).await;
    end(stack).await;
}

/// Without a network, and without DynamoDB.
#[tokio::test]
async fn an_outage_is_said_and_ends_by_itself() {
    let stack = stack().await;
    let browser = Browser::open(View::DESKTOP).await;
    hurry(&browser).await;
    change(&stack, "@TGS#0").await;
    open(&browser, &stack, "").await;
    wait_for_count(&browser, ROWS, 1).await;

    browser.set_offline(true).await;
    wait_for_text(&browser, ".banner:not([hidden])", "There is no connection").await;
    change(&stack, "@TGS#1").await;
    wait_for_count(&browser, ROWS, 1).await;
    browser.set_offline(false).await;
    wait_for_count(&browser, ROWS, 2).await;
    browser.wait_for(".banner[hidden]").await;

    stack.signal("-USR1", false).await;
    let cut_off = async { while TcpStream::connect((Ipv4Addr::LOCALHOST, stack.ports[1])).await.is_ok() {} };
    tokio::time::timeout(TEST_TIMEOUT, cut_off).await.unwrap();
    wait_for_text(&browser, ".banner:not([hidden])", "The ledger does not answer at the moment").await;
    wait_for_count(&browser, ROWS, 2).await;
    browser.evaluate(&format!("location.hash = {};", json!(group_at("tencent-chat#1400000000#@TGS#0", &[])))).await;
    wait_for_text(&browser, ".state[role=alert]", "Recording does not depend on this page").await;
    stack.signal("-USR1", false).await;
    let is_back = async { while TcpStream::connect((Ipv4Addr::LOCALHOST, stack.ports[1])).await.is_err() {} };
    tokio::time::timeout(TEST_TIMEOUT, is_back).await.unwrap();
    // The answer may be the same for a moment.
    let retry = "document.querySelector('.heading') || (document.querySelector('.state .main')?.click(), false)";
    browser.wait_until(retry).await;
    browser.evaluate("location.hash = '#/now';").await;
    wait_for_count(&browser, ROWS, 2).await;
    browser.assert_quiet(&["ERR_INTERNET_DISCONNECTED", "503"]).await;
    end(stack).await;
}
