//! The reader's page in a browser: needs Chromium, `chromedriver` and what `npm ci` installs in `tests/browser`.

use std::convert::Infallible;
use std::net::Ipv4Addr;

use http::Response;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::local::Stack;

mod bench;
mod driver;
mod screenshots;

use driver::{Browser, View};

const TOKEN: &str = "0123456789abcdef-browser";

/// A stack whose ledger is read with `TOKEN`.
async fn stack() -> Stack {
    Stack::start(TempDir::new().unwrap(), &[("READER_TOKENS", &format!("browser:{TOKEN}"))]).await
}

/// Opens the page of a stack with a view's fragment, signed in.
async fn open(browser: &Browser, stack: &Stack, fragment: &str) {
    let source = format!("sessionStorage.setItem('group-ledger.token', '{TOKEN}');");
    browser.cdp("Page.addScriptToEvaluateOnNewDocument", json!({ "source": source })).await;
    browser.goto(&format!("http://127.0.0.1:{}/ledger{fragment}", stack.ports[0])).await;
}

/// Serves a document, with a policy that lets it load nothing and run nothing; its URL.
async fn serve(document: &'static str) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = service_fn(move |_| {
                let response = Response::builder()
                    .header("content-type", "text/html; charset=utf-8")
                    .header("content-security-policy", "default-src 'none'; connect-src 'self'")
                    .body(Full::new(Bytes::from(document)));
                std::future::ready(Ok::<_, Infallible>(response.unwrap()))
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
        }
    });
    url
}

/// The width and height of a PNG.
fn size(png: &[u8]) -> (u32, u32) {
    let number = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
    (number(16), number(20))
}

#[tokio::test]
async fn the_description_without_a_token_shows_why_there_is_none() {
    let stack = stack().await;
    let browser = Browser::open(View::DESKTOP).await;
    browser.goto(&format!("http://127.0.0.1:{}/ledger/v1/openapi.json", stack.ports[0])).await;
    let text = browser.text("body").await;
    assert!(text.contains("A token is missing or wrong"), "{text}");
    let console = browser.console().await;
    assert!(console.len() == 1 && console[0].contains("401"), "{console:#?}");
    stack.signal("-INT", true).await;
    stack.end().await;
}

#[tokio::test]
async fn a_browser_is_as_the_view_says() {
    let phone = View { language: "zh-CN", is_dark: true, time_zone: "Asia/Shanghai", ..View::PHONE };
    for view in [View::DESKTOP, phone] {
        let browser = Browser::open(view).await;
        browser.goto(&serve("<!doctype html><meta name=viewport content='width=device-width'>").await).await;
        let script = "
            const dates = Intl.DateTimeFormat().resolvedOptions();
            const [is_dark, is_touched] =
                ['(prefers-color-scheme: dark)', '(pointer: coarse)'].map(query => matchMedia(query).matches);
            return [innerWidth, innerHeight, is_touched, navigator.language, dates.locale, is_dark, dates.timeZone];";
        let View { width, height, is_mobile, language, is_dark, time_zone } = view;
        let expected = json!([width, height, is_mobile, language, language, is_dark, time_zone]);
        assert_eq!(browser.evaluate(script).await, expected);
        assert_eq!(size(&browser.screenshot().await), (width, height));
    }
}

#[tokio::test]
async fn a_page_is_clicked_and_typed_into() {
    let page = "<!doctype html><title>Page</title><input name=text><input type=checkbox><p hidden>Not seen</p>";
    let browser = Browser::open(View::DESKTOP).await;
    browser.goto(&serve(page).await).await;
    browser.click("[type=checkbox]").await;
    browser.wait_for(":checked").await;
    browser.type_text("[name=text]", "群").await;
    browser.evaluate("onkeydown = event => { document.title = `${event.ctrlKey} ${event.key}`; };").await;
    browser.press(&["Control", "k"]).await;
    assert_eq!(browser.wait_until("document.title.includes('k') && document.title").await, "true k");
    assert_eq!(browser.evaluate("return document.querySelector('[name=text]').value;").await, "群");
    assert_eq!(browser.attribute("input", "name").await.as_deref(), Some("text"));
    assert_eq!(browser.attribute("input", "hidden").await, None);
    assert_eq!(browser.text("body").await.trim(), "");
    browser.assert_quiet(&[]).await;
}

#[tokio::test]
async fn a_page_is_cut_off_from_the_network_and_connected_again() {
    let browser = Browser::open(View::DESKTOP).await;
    browser.goto(&serve("<!doctype html>").await).await;
    let fetch = "return fetch('/').then(() => true, () => false);";
    for is_offline in [false, true, false] {
        browser.set_offline(is_offline).await;
        assert_eq!(browser.evaluate(fetch).await, !is_offline);
    }
    browser.assert_quiet(&["ERR_INTERNET_DISCONNECTED"]).await;
}

#[tokio::test]
async fn what_the_policy_blocks_and_axe_finds_is_noticed() {
    let page = "<!doctype html><title>Page</title><main><h1>Page</h1><img src=/image></main><script>0</script>";
    let browser = Browser::open(View::DESKTOP).await;
    browser.goto(&serve(page).await).await;
    let console = browser.console().await;
    for blocked in ["the image", "inline script"] {
        let is_told = |message: &String| message.contains(blocked) && message.contains("Content Security Policy");
        assert!(console.iter().any(is_told), "{blocked}: {console:#?}");
    }
    let violations = browser.violations().await;
    let found = violations.iter().map(|rule| (rule.id.as_str(), rule.impact.as_str(), rule.targets.concat()));
    assert_eq!(
        found.collect::<Vec<_>>(),
        [("html-has-lang", "serious", "html".to_owned()), ("image-alt", "critical", "img".to_owned())]
    );
    browser.assert_quiet(&[]).await;
}
