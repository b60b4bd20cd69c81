//! Signing in and out: where the token is, and what happens when it is wrong or no longer valid.

use serde_json::json;

use super::driver::{Browser, View};
use super::{TOKEN, click_named, end, hurry, page, stack, wait_for_text};

const WRONG: &str = "0123456789abcdef-wrong";

async fn give(browser: &Browser, token: &str) {
    browser.wait_for("#token:enabled").await;
    browser.evaluate("document.querySelector('#token').value = '';").await;
    browser.type_text("#token", token).await;
    browser.click("form button.main").await;
}

#[tokio::test]
async fn a_token_is_in_its_tab_alone_and_until_the_reader_signs_out() {
    let stack = stack().await;
    let browser = Browser::open(View::DESKTOP).await;
    browser.goto(&page(&stack, "#/quarantine/2024-05-07")).await;
    give(&browser, WRONG).await;
    wait_for_text(&browser, "#problem", "This token is not known here").await;
    assert_eq!(browser.evaluate("return document.querySelector('#token').value;").await, WRONG, "to be corrected");
    give(&browser, TOKEN).await;
    browser.wait_for("main.quarantine .state h2").await;

    let script = format!(
        "const requests = performance.getEntriesByType('resource').map(entry => entry.name);
        const addresses = [location.href, document.referrer, ...requests];
        return [Object.values(sessionStorage), localStorage.length, history.state,
            requests.some(url => url.includes('/ledger/v1/quarantine')), addresses.some(url => url.includes('{TOKEN}'))];"
    );
    assert_eq!(browser.evaluate(&script).await, json!([[TOKEN], 0, null, true, false]));
    assert_eq!(browser.cdp("Network.getAllCookies", json!({})).await["cookies"], json!([]));

    browser.reload().await;
    browser.wait_for("main.quarantine .state h2").await;
    click_named(&browser, ".bar", "Sign out").await;
    browser.wait_for("#token").await;
    assert_eq!(browser.evaluate("return sessionStorage.length;").await, 0);
    browser.reload().await;
    browser.wait_for("#token").await;
    browser.assert_quiet(&["401"]).await;
    end(stack).await;
}

#[tokio::test]
async fn a_token_that_is_no_longer_valid_is_asked_for_where_the_reader_was() {
    let stack = stack().await;
    let browser = Browser::open(View::DESKTOP).await;
    hurry(&browser).await;
    browser.goto(&page(&stack, "#/now?platform=openim")).await;
    give(&browser, TOKEN).await;
    browser.wait_for("main.now .state h2").await;
    browser.evaluate(&format!("sessionStorage.setItem('group-ledger.token', '{WRONG}');")).await;
    wait_for_text(&browser, "#problem", "no longer valid").await;
    assert_eq!(browser.evaluate("return sessionStorage.length;").await, 0);
    give(&browser, TOKEN).await;
    browser.wait_until("document.querySelector('main.now select[name=platform]')?.value === 'openim'").await;
    browser.assert_quiet(&["401"]).await;
    end(stack).await;
}
