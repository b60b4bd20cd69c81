//! Quarantine: by day, with the bodies.

use super::driver::{Browser, View};
use super::{click_named, end, open, stack, wait_for_count, wait_for_text};
use crate::support::{post, send};

const ROWS: &str = "main.quarantine .changes > li";

#[tokio::test]
async fn quarantine_is_seen_by_day_with_what_was_sent() {
    let stack = stack().await;
    let body = r#"{"userID":"<script>alert(1)</script>"}"#;
    let (status, _) = send(stack.ports[0], &post("/openim/callbackAfterQuitGroupCommand", body)).await.unwrap();
    assert_eq!(status, 400);
    let browser = Browser::open(View::DESKTOP).await;
    open(&browser, &stack, "#/quarantine").await;
    wait_for_count(&browser, ROWS, 1).await;
    let text = browser.text("main").await;
    for part in ["callbackAfterQuitGroupCommand", "OpenIM", "code ", "group-ledger reprocess"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    browser.click(&format!("{ROWS} summary")).await;
    wait_for_text(&browser, &format!("{ROWS} pre"), "<script>alert(1)</script>").await;
    click_named(&browser, "main .filters", "Day before").await;
    wait_for_text(&browser, "main .state", "Nothing was quarantined on this day").await;
    click_named(&browser, "main .filters", "Day after").await;
    wait_for_count(&browser, ROWS, 1).await;
    browser.evaluate("location.hash = '#/quarantine/2024-05-07';").await;
    wait_for_text(&browser, "main .state", "Nothing was quarantined on this day").await;
    assert_eq!(browser.evaluate("return document.querySelector('input[type=date]').value;").await, "2024-05-07");
    browser.assert_quiet(&[]).await;
    end(stack).await;
}
