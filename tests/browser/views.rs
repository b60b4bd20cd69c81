//! Every view, on a desktop and on a phone, in both languages and both schemes.

use serde_json::json;

use super::driver::{Browser, View};
use super::{TOKEN, demo, end, group_at, page, stack};
use crate::local::Stack;
use crate::support::{post, send};

/// What is wrong with what is shown: whatever is wider than the screen, and texts that are not there.
const PROBLEMS: &str = r"
    const problems = [];
    const { scrollWidth } = document.documentElement;
    if (scrollWidth > innerWidth) {
        const wide = [...document.querySelectorAll('body *')].filter(node => node.getBoundingClientRect().right > innerWidth);
        problems.push(`${scrollWidth} px wide: ${wide.slice(0, 3).map(node => node.outerHTML.slice(0, 200))}`);
    }
    const is_key = text => /^[a-z]+(\.[a-z_]+)+$/.test(text.trim());
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
        const { data, parentElement } = texts.currentNode;
        if (is_key(data) && !parentElement.closest('code, .id, pre')) problems.push(`the key ${data}`);
    }
    for (const node of document.querySelectorAll('[title], [aria-label], [placeholder]')) {
        for (const name of ['title', 'aria-label', 'placeholder']) {
            const text = node.getAttribute(name);
            if (text !== null && is_key(text) && !node.matches('.id')) problems.push(`${name} is the key ${text}`);
        }
    }
    return problems;";

/// The views: a name, a fragment, an element that is there when all is, and what to do first.
fn views(night_shift: &str, gap: &str) -> [(&'static str, String, &'static str, &'static str); 7] {
    let time = gap.split('#').next().unwrap();
    [
        ("now", "#/now".to_owned(), ".feed li", ""),
        ("a group with gaps and an open change", group_at(night_shift, &[("change", gap)]), ".change[open] pre", ""),
        ("a group in the past", group_at(night_shift, &[("at", time)]), ".past ~ .columns .days", ""),
        ("an unknown group", group_at("tencent-chat#1400000000#unknown", &[]), ".state .id", ""),
        (
            "quarantine",
            "#/quarantine".to_owned(),
            ".change[open] pre",
            "document.querySelector('summary:not([open] > *)')?.click()",
        ),
        ("the keys", "#/now".to_owned(), "dialog[open]", "document.querySelector('dialog:not([open])')?.showModal()"),
        (
            "sign-in",
            "#/".to_owned(),
            "#token",
            "sessionStorage.removeItem('group-ledger.token'), dispatchEvent(new Event('hashchange'))",
        ),
    ]
}

/// Looks at every view with one screen.
async fn look(stack: &Stack, night_shift: &str, view: View) {
    let browser = Browser::open(view).await;
    browser.goto(&page(stack, "")).await;
    let mut problems = Vec::new();
    for language in ["en", "zh-CN"] {
        let start = format!(
            "sessionStorage.setItem('group-ledger.token', '{TOKEN}');
            sessionStorage.setItem('group-ledger.language', '{language}');
            location.hash = {};",
            json!(group_at(night_shift, &[]))
        );
        browser.evaluate(&start).await;
        browser.reload().await;
        let gap = "document.querySelector('.gaps li a') && new URLSearchParams(document.querySelector('.gaps li a').hash.split('?')[1]).get('change')";
        let gap = browser.wait_until(gap).await;
        for (name, fragment, ready, action) in views(night_shift, gap.as_str().unwrap()) {
            browser.evaluate(&format!("location.hash = {};", json!(fragment))).await;
            browser.evaluate("return new Promise(done => requestAnimationFrame(done));").await;
            browser
                .wait_until(&format!(
                    "({}, document.querySelector('{ready}'))",
                    if action.is_empty() { "0" } else { action }
                ))
                .await;
            assert_eq!(browser.evaluate("return document.documentElement.lang;").await, language);
            for scheme in ["light", "dark"] {
                let feature = json!({ "name": "prefers-color-scheme", "value": scheme });
                browser.cdp("Emulation.setEmulatedMedia", json!({ "features": [feature] })).await;
                let found = browser.violations().await;
                let found = found.iter().map(|rule| format!("{} ({}): {:?}", rule.id, rule.impact, rule.targets));
                problems.extend(found.map(|found| format!("{name}, {language}, {scheme}: {found}")));
            }
            let found = browser.evaluate(PROBLEMS).await;
            problems.extend(found.as_array().unwrap().iter().map(|found| format!("{name}, {language}: {found}")));
        }
    }
    assert!(problems.is_empty(), "{} px: {problems:#?}", view.width);
    browser.assert_quiet(&["404", "401"]).await;
}

#[tokio::test]
async fn every_view_can_be_used_by_everyone_and_fits_its_screen() {
    let stack = stack().await;
    let [_, night_shift, _] = demo(&stack).await;
    send(stack.ports[0], &post("/openim/callbackAfterQuitGroupCommand", "{")).await.unwrap();
    tokio::join!(look(&stack, &night_shift, View::DESKTOP), look(&stack, &night_shift, View::PHONE));
    end(stack).await;
}
