//! The page without a mouse.

use serde_json::{Value, json};

use super::driver::{Browser, View};
use super::{TOKEN, deliver, end, page, stack, wait_for_text};
use crate::local::info_changed;

/// What has the focus, after it was found to be seen: outlined, in view and covered by nothing.
async fn focused(browser: &Browser) -> String {
    let script = "
        const node = document.activeElement;
        const style = getComputedStyle(node);
        const { left, top, width, height } = node.getBoundingClientRect();
        const there = document.elementFromPoint(left + width / 2, top + height / 2);
        const problem = style.outlineStyle === 'none' || parseFloat(style.outlineWidth) < 1 ? 'no outline'
            : !there || !(node.contains(there) || there.contains(node)) ? `beneath ${there?.outerHTML}` : '';
        const name = node.getAttribute('aria-label') ?? node.textContent;
        return [node.localName === 'summary' ? `summary ${node.querySelector('.sentence')?.textContent}` : name.trim(), problem];";
    let Value::Array(found) = browser.evaluate(script).await else { panic!("nothing has the focus") };
    assert_eq!(found[1], "", "{found:?}");
    found[0].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_page_is_used_with_the_keyboard_alone() {
    let stack = stack().await;
    for (group, time) in [("@TGS#1", 1), ("@TGS#2", 2), ("@TGS#3", 3)] {
        deliver(&stack, &info_changed(group, 1_715_049_600_000 + time)).await;
    }
    let browser = Browser::open(View::DESKTOP).await;
    browser.goto(&page(&stack, "")).await;
    browser.wait_until("document.activeElement.id === 'token'").await;
    browser.type_text("#token", TOKEN).await;
    browser.press(&["Enter"]).await;
    browser.wait_for(".feed summary").await;
    browser.reload().await;
    browser.wait_for(".feed summary").await;

    let sentence = "summary u-secret renamed the group to “n-secret”";
    for expected in [
        "Skip to content",
        "Group Ledger",
        "Open a group: id or name",
        "Now",
        "Quarantine",
        "中文",
        "Light or dark",
        "Sign out",
        "Platform",
        "Kind of change",
        "Live. Pause",
        sentence,
        "n-secret",
        sentence,
        "n-secret",
    ] {
        browser.press(&["Tab"]).await;
        assert_eq!(focused(&browser).await, expected);
    }

    // Straight to the content.
    browser.reload().await;
    browser.wait_for(".feed summary").await;
    browser.press(&["Tab"]).await;
    browser.press(&["Enter"]).await;
    assert_eq!(browser.evaluate("return document.activeElement.id;").await, "content");
    browser.press(&["/"]).await;
    assert_eq!(focused(&browser).await, "Open a group: id or name");
    browser.press(&["j"]).await;
    assert_eq!(browser.evaluate("return document.activeElement.value;").await, "j", "typed, not done");
    browser.press(&["Escape"]).await;
    assert_eq!(browser.evaluate("return document.activeElement.localName;").await, "body");

    let row = "return [...document.querySelectorAll('.feed summary')].indexOf(document.activeElement);";
    for (key, expected) in [("j", 0), ("j", 1), ("j", 2), ("j", 2), ("k", 1)] {
        browser.press(&[key]).await;
        assert_eq!(browser.evaluate(row).await, json!(expected), "{key}");
        focused(&browser).await;
    }
    browser.press(&["Enter"]).await;
    browser.wait_for(".feed details[open] pre").await;
    // From within the change to its line.
    browser.press(&["Tab"]).await;
    browser.press(&["Escape"]).await;
    browser.wait_until("!document.querySelector('.feed details[open]')").await;
    assert_eq!(browser.evaluate(row).await, 1);

    browser.press(&["?"]).await;
    wait_for_text(&browser, "dialog[open]", "down and up the list").await;
    browser.press(&["Escape"]).await;
    browser.wait_until("!document.querySelector('dialog[open]')").await;
    assert_eq!(browser.evaluate(row).await, 1, "the focus is back");

    browser.press(&["o"]).await;
    browser.wait_for("main.group .heading").await;
    wait_for_text(&browser, "h1", "n-secret").await;
    browser.wait_for(".history summary").await;
    browser.press(&["j"]).await;
    browser.press(&["Enter"]).await;
    browser.wait_for(".history details[open] pre").await;
    focused(&browser).await;
    browser.press(&["Escape"]).await;
    browser.wait_until("!document.querySelector('details.change[open]')").await;
    browser.press(&["Escape"]).await;
    browser.wait_for("main.now .feed").await;

    // The letters can be switched off, and on again without them.
    let searches = "return document.activeElement.type === 'search';";
    browser.press(&["?"]).await;
    browser.click("dialog[open] input").await;
    browser.press(&["Escape"]).await;
    browser.wait_until("!document.querySelector('dialog[open]')").await;
    browser.press(&["/"]).await;
    assert_eq!(browser.evaluate(searches).await, false);
    browser.click("footer button").await;
    browser.click("dialog[open] input").await;
    browser.press(&["Escape"]).await;
    browser.wait_until("!document.querySelector('dialog[open]')").await;
    browser.press(&["/"]).await;
    assert_eq!(browser.evaluate(searches).await, true);
    browser.assert_quiet(&[]).await;
    end(stack).await;
}
