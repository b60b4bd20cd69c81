//! The reader's page in a browser: needs Chromium, `chromedriver` and what `npm ci` installs in `tests/browser`.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::Ipv4Addr;

use http::Response;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::service::service_fn;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::listener;
use crate::local::Stack;
use crate::support::cli::run;
use crate::support::{post, send};

mod bench;
mod driver;
mod group;
mod hostile;
mod keyboard;
mod now;
mod quarantine;
mod screenshots;
mod sentences;
mod sign_in;
mod views;

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
    browser.goto(&page(stack, fragment)).await;
}

/// The address of a stack's page, with a view's fragment.
fn page(stack: &Stack, fragment: &str) -> String {
    format!("http://127.0.0.1:{}/ledger{fragment}", stack.ports[0])
}

/// Makes the page's own timers run 20 times as fast, from the next document on.
async fn hurry(browser: &Browser) {
    let source = "{ const after = window.setTimeout; window.setTimeout = (run, wait = 0) => after(run, wait / 20); }";
    browser.cdp("Page.addScriptToEvaluateOnNewDocument", json!({ "source": source })).await;
}

/// Clicks the first control within a selector that is seen and has this text or name, as soon as there is one.
async fn click_named(browser: &Browser, within: &str, name: &str) {
    let script = format!(
        "(node => node && (node.click(), true))(Array.from(document.querySelectorAll({})).find(node =>
            (node.getAttribute('aria-label') ?? node.textContent).trim() === {} && node.checkVisibility()))",
        json!(format!("{within} :is(a, button, summary, label)")),
        json!(name)
    );
    browser.wait_until(&script).await;
}

/// Chooses a value of an input or a list, as a reader does.
async fn choose(browser: &Browser, selector: &str, value: &str) {
    browser.wait_for(selector).await;
    let script = format!(
        "const node = document.querySelector({});
        node.value = {};
        for (const name of ['input', 'change']) node.dispatchEvent(new Event(name, {{ bubbles: true }}));",
        json!(selector),
        json!(value)
    );
    browser.evaluate(&script).await;
}

/// Waits until so many elements match.
async fn wait_for_count(browser: &Browser, selector: &str, count: usize) {
    browser.wait_until(&format!("document.querySelectorAll({}).length === {count}", json!(selector))).await;
}

/// Waits until the first element that matches has this in its text.
async fn wait_for_text(browser: &Browser, selector: &str, text: &str) {
    let script = format!("document.querySelector({})?.textContent.includes({})", json!(selector), json!(text));
    browser.wait_until(&script).await;
}

/// Sends a callback to a stack, which must accept it.
async fn deliver(stack: &Stack, callback: &[u8]) {
    let (status, body) = send(stack.ports[0], callback).await.unwrap();
    assert_eq!(status, 200, "{}: {body}", String::from_utf8_lossy(callback));
}

/// A callback of Tencent Cloud Chat about a group: a command without its prefix, and the fields of its body.
fn tencent(command: &str, group: &str, mut body: Value) -> Vec<u8> {
    let command = format!("Group.{command}");
    body["CallbackCommand"] = json!(command);
    body["GroupId"] = json!(group);
    let command: String = form_urlencoded::byte_serialize(command.as_bytes()).collect();
    let path =
        format!("/tencent-chat?SdkAppid=1400000000&CallbackCommand={command}&ClientIP=203.0.113.7&OptPlatform=iOS");
    post(&path, &body.to_string())
}

/// A callback of OpenIM: a command without its affixes, and the fields of its body.
fn openim(command: &str, body: &Value) -> Vec<u8> {
    post(&format!("/openim/callbackAfter{command}Command"), &body.to_string())
}

/// Sends the demo's week; the keys of its groups: the community, the night shift, which has gaps, and the hikers.
async fn demo(stack: &Stack) -> [String; 3] {
    let sent = run(&BTreeMap::new(), &["send", &format!("http://127.0.0.1:{}", stack.ports[0]), "--demo"], "").await;
    sent.succeeded();
    ["TRAIL", "NIGHT", "hikers"].map(|mark| {
        let key = sent.errors.split('\'').find(|word| word.contains(mark)).unwrap();
        key.to_owned()
    })
}

/// The fragment of a group.
fn group_at(key: &str, parameters: &[(&str, &str)]) -> String {
    let key = utf8_percent_encode(key, NON_ALPHANUMERIC);
    let parameters = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
    format!("#/group/{key}?{parameters}")
}

async fn end(stack: Stack) {
    stack.signal("-INT", true).await;
    stack.end().await;
}

/// Serves a document, with a policy that lets it load nothing and run nothing; its URL.
async fn serve(document: &'static str) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let answer = service_fn(move |_| {
        let response = Response::builder()
            .header("content-type", "text/html; charset=utf-8")
            .header("content-security-policy", "default-src 'none'; connect-src 'self'")
            .body(Full::new(Bytes::from(document)));
        std::future::ready(Ok::<_, Infallible>(response.unwrap()))
    });
    tokio::spawn(listener::serve(listener, answer));
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
    let mut console = browser.console().await;
    // A document of JSON names no icon, so that the browser asks for its own.
    console.retain(|line| !line.contains("/favicon.ico "));
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
