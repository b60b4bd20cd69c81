//! Chromium without a window, through `chromedriver`: <https://www.w3.org/TR/webdriver2/>, and what is Chromium's own of
//! <https://chromedevtools.github.io/devtools-protocol/>.
//!
//! This is a client of its own, over the tests' `ureq`: fantoccini brings 21 crates, twelve of them in a second
//! version beside ours, and has no calls for the console and for Chromium's own commands.

use std::process::Stdio;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{sleep, timeout};

use crate::support::TEST_TIMEOUT;

/// How many run at once: each takes 400 MB, and a whole processor while it starts.
static BROWSERS: Semaphore = Semaphore::const_new(2);
/// How many times a start is tried.
const START_ATTEMPTS: u32 = 3;

const AXE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/browser/node_modules/axe-core/axe.min.js");

/// What a page is looked at with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View {
    /// Of the viewport, in CSS pixels.
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// Touched rather than pointed at, and laid out as the page's `meta` element says.
    pub(crate) is_mobile: bool,
    /// The reader's language: `en` or `zh-CN`.
    pub(crate) language: &'static str,
    pub(crate) is_dark: bool,
    pub(crate) time_zone: &'static str,
}

impl View {
    pub(crate) const DESKTOP: Self =
        Self { width: 1280, height: 800, is_mobile: false, language: "en", is_dark: false, time_zone: "UTC" };
    pub(crate) const PHONE: Self = Self { width: 390, height: 844, is_mobile: true, ..Self::DESKTOP };
}

/// A rule of axe-core that a page breaks.
#[derive(Debug, Deserialize)]
pub(crate) struct Violation {
    pub(crate) id: String,
    /// From `minor` to `critical`.
    pub(crate) impact: String,
    /// Selectors of the elements.
    pub(crate) targets: Vec<String>,
}

/// A browser with one window and an empty profile. It ends where it is dropped.
pub(crate) struct Browser {
    agent: ureq::Agent,
    /// The session's URL.
    session: String,
    _driver: Child,
    _profile: TempDir,
    _permit: SemaphorePermit<'static>,
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Waits until the browser has ended, so that nothing writes to the profile any more.
        let _ = self.agent.delete(&self.session).call();
    }
}

impl Browser {
    /// Starts a browser, as soon as there are few enough others.
    pub(crate) async fn open(view: View) -> Self {
        let mut attempts = 1;
        let browser = loop {
            match Self::start(view).await {
                Ok(browser) => break browser,
                // On a busy machine Chromium sometimes exits while it starts.
                Err(_) if attempts < START_ATTEMPTS => {}
                Err(error) => panic!("Chromium does not start: {error}"),
            }
            attempts += 1;
        };
        let View { width, height, is_mobile, language, is_dark, time_zone } = view;
        let screen = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": is_mobile });
        browser.cdp("Emulation.setDeviceMetricsOverride", screen).await;
        browser.cdp("Emulation.setTouchEmulationEnabled", json!({ "enabled": is_mobile })).await;
        // Of dates and numbers; `navigator.language` follows the profile.
        browser.cdp("Emulation.setLocaleOverride", json!({ "locale": language })).await;
        browser.cdp("Emulation.setTimezoneOverride", json!({ "timezoneId": time_zone })).await;
        let scheme = json!({ "name": "prefers-color-scheme", "value": if is_dark { "dark" } else { "light" } });
        browser.cdp("Emulation.setEmulatedMedia", json!({ "features": [scheme] })).await;
        browser
    }

    /// Starts a browser with nothing set but what cannot be set later.
    async fn start(view: View) -> Result<Self, Value> {
        let permit = BROWSERS.acquire().await.unwrap();
        let profile = TempDir::new().unwrap();
        let (driver, port) =
            timeout(TEST_TIMEOUT, start_driver(&profile)).await.map_err(|_| json!("nor does chromedriver"))?;
        // Chromedriver's own time limits are shorter than this one, and say more.
        let config = ureq::Agent::config_builder().http_status_as_error(false).proxy(None);
        let agent = config.timeout_global(Some(2 * TEST_TIMEOUT)).build().new_agent();
        let url = format!("http://127.0.0.1:{port}/session");
        let capabilities = json!({ "capabilities": { "alwaysMatch": capabilities(view, &profile) } });
        let session = send(&agent, url.clone(), Some(capabilities)).await?;
        let session = format!("{url}/{}", session["sessionId"].as_str().unwrap());
        Ok(Self { agent, session, _driver: driver, _profile: profile, _permit: permit })
    }

    /// Opens a page, and waits until it is loaded.
    pub(crate) async fn goto(&self, url: &str) {
        self.command("url", json!({ "url": url })).await;
    }

    /// Opens the page anew, and waits until it is loaded.
    pub(crate) async fn reload(&self) {
        self.command("refresh", json!({})).await;
    }

    /// Waits until the page has an element that matches a CSS selector.
    pub(crate) async fn wait_for(&self, selector: &str) {
        self.find(selector).await;
    }

    /// Waits until a JavaScript expression is truthy; its value.
    pub(crate) async fn wait_until(&self, expression: &str) -> Value {
        let script = format!("return ({expression});");
        let mut last = Ok(Value::Null);
        let truthy = timeout(TEST_TIMEOUT, async {
            loop {
                // A page that is about to change may throw.
                last = self.try_evaluate(&script).await;
                match &last {
                    Ok(value) if ![&json!(null), &json!(false), &json!(0), &json!("")].contains(&value) => {
                        return value.clone();
                    }
                    _ => sleep(Duration::from_millis(20)).await,
                }
            }
        });
        match truthy.await {
            Ok(value) => value,
            Err(_) => self.fail(&format!("the page does not come to {expression}, but to {last:?}")).await,
        }
    }

    /// Clicks the first element that matches, as soon as there is one.
    pub(crate) async fn click(&self, selector: &str) {
        self.on(selector, "click", json!({})).await;
    }

    /// Types into the first element that matches, as soon as there is one.
    pub(crate) async fn type_text(&self, selector: &str, text: &str) {
        self.on(selector, "value", json!({ "text": text })).await;
    }

    /// Presses keys together, in this order, wherever the focus is: `&["Control", "a"]`.
    pub(crate) async fn press(&self, keys: &[&str]) {
        let action = |kind: &'static str| move |name: &&str| json!({ "type": kind, "value": key(name) });
        let actions = keys.iter().map(action("keyDown")).chain(keys.iter().rev().map(action("keyUp")));
        let actions: Vec<Value> = actions.collect();
        self.command("actions", json!({ "actions": [{ "type": "key", "id": "keyboard", "actions": actions }] })).await;
    }

    /// The text that is seen of the first element that matches, as soon as there is one.
    pub(crate) async fn text(&self, selector: &str) -> String {
        let text = self.property(selector, "innerText").await;
        text.as_str().unwrap_or_else(|| panic!("{selector} has no text")).to_owned()
    }

    /// An attribute of the first element that matches, as soon as there is one.
    pub(crate) async fn attribute(&self, selector: &str, name: &str) -> Option<String> {
        let value = self.property(selector, &format!("getAttribute({})", json!(name))).await;
        value.as_str().map(str::to_owned)
    }

    /// Runs the body of a JavaScript function, and waits for the promise that it may return.
    pub(crate) async fn evaluate(&self, script: &str) -> Value {
        match self.try_evaluate(script).await {
            Ok(value) => value,
            Err(error) => self.fail(&format!("{script}: {error}")).await,
        }
    }

    /// Cuts the page off from the network, or connects it again.
    pub(crate) async fn set_offline(&self, is_offline: bool) {
        let conditions = json!({
            "offline": is_offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1,
        });
        self.cdp("Network.enable", json!({})).await;
        self.cdp("Network.emulateNetworkConditions", conditions).await;
    }

    /// What is seen, as PNG.
    pub(crate) async fn screenshot(&self) -> Vec<u8> {
        let png = send(&self.agent, format!("{}/screenshot", self.session), None).await.unwrap();
        BASE64_STANDARD.decode(png.as_str().unwrap()).unwrap()
    }

    /// The console's warnings and errors since the last call, among them what the content security policy blocked.
    pub(crate) async fn console(&self) -> Vec<String> {
        let entries = self.command("se/log", json!({ "type": "browser" })).await;
        let loud = |entry: &&Value| ["WARNING", "SEVERE"].contains(&entry["level"].as_str().unwrap());
        let message = |entry: &Value| entry["message"].as_str().unwrap().to_owned();
        entries.as_array().unwrap().iter().filter(loud).map(message).collect()
    }

    /// Rejects what the console has but messages with one of these texts.
    pub(crate) async fn assert_quiet(&self, expected: &[&str]) {
        let mut messages = self.console().await;
        messages.retain(|message| !expected.iter().any(|text| message.contains(text)));
        assert!(messages.is_empty(), "the console says: {messages:#?}");
    }

    /// What axe-core finds against WCAG 2.1, levels A and AA, and against best practices, as soon as the page rests: what is
    /// still appearing, or about to be replaced, is fainter.
    pub(crate) async fn violations(&self) -> Vec<Violation> {
        let has_ended = "document.getAnimations().every(animation => animation.playState === 'finished')";
        self.wait_until(&format!("!document.querySelector('[aria-busy=true]') && {has_ended}")).await;
        if self.evaluate("return typeof axe;").await == "undefined" {
            let axe = std::fs::read_to_string(AXE);
            let axe = axe.unwrap_or_else(|error| panic!("{AXE}: {error}; `npm ci` in tests/browser installs it"));
            // The content security policy is for the page's scripts, not for these.
            self.evaluate(&axe).await;
        }
        let script = "
            const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice'];
            const results = await axe.run(document, { runOnly: tags, resultTypes: ['violations'] });
            const targets = rule => rule.nodes.map(node => node.target.flat().join(' '));
            return results.violations.map(rule => ({ id: rule.id, impact: rule.impact, targets: targets(rule) }));";
        let violations = self.evaluate(&format!("return (async () => {{ {script} }})();")).await;
        serde_json::from_value(violations).unwrap()
    }

    /// A command of Chromium's own.
    pub(crate) async fn cdp(&self, command: &str, parameters: Value) -> Value {
        self.command("goog/cdp/execute", json!({ "cmd": command, "params": parameters })).await
    }

    /// A command that must not fail.
    async fn command(&self, path: &str, body: Value) -> Value {
        let answer = self.try_command(path, body).await;
        answer.unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    async fn try_command(&self, path: &str, body: Value) -> Result<Value, Value> {
        send(&self.agent, format!("{}/{path}", self.session), Some(body)).await
    }

    async fn try_evaluate(&self, script: &str) -> Result<Value, Value> {
        self.try_command("execute/sync", json!({ "script": script, "args": [] })).await
    }

    /// Waits for an element; its reference.
    async fn find(&self, selector: &str) -> String {
        let element = self.wait_until(&format!("document.querySelector({})", json!(selector))).await;
        element.as_object().unwrap().values().next().unwrap().as_str().unwrap().to_owned()
    }

    /// What an element has, which may be null, as soon as there is the element.
    async fn property(&self, selector: &str, property: &str) -> Value {
        self.wait_until(&format!("[document.querySelector({}).{property}]", json!(selector))).await[0].take()
    }

    /// Does something to the first element that matches, and again where the page has put another in its place.
    async fn on(&self, selector: &str, action: &str, body: Value) {
        loop {
            let element = self.find(selector).await;
            match self.try_command(&format!("element/{element}/{action}"), body.clone()).await {
                Err(error) if error["error"] == "stale element reference" => {}
                Err(error) => self.fail(&format!("{action} {selector}: {error}")).await,
                Ok(_) => return,
            }
        }
    }

    async fn fail(&self, what: &str) -> ! {
        let text = self.try_evaluate("return document.body.innerText;").await;
        let text = text.unwrap_or_else(|error| error["message"].clone());
        let console = self.console().await;
        panic!("{what}\nThe page: {}\nThe console: {console:#?}", text.as_str().unwrap_or_default());
    }
}

/// What a session is to be. <https://developer.chrome.com/docs/chromedriver/capabilities>
fn capabilities(view: View, profile: &TempDir) -> Value {
    let limit = u64::try_from(TEST_TIMEOUT.as_millis()).unwrap();
    let arguments = [
        // Its end is the browser's, too: without it, a browser outlives a driver that is killed.
        "--remote-debugging-pipe",
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        // In a container it has 64 MB, and a page crashes when it is full.
        "--disable-dev-shm-usage",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        &format!("--lang={}", view.language),
        &format!("--user-data-dir={}", profile.path().join("profile").display()),
    ];
    json!({
        "timeouts": { "script": limit, "pageLoad": limit },
        "goog:loggingPrefs": { "browser": "ALL" },
        "goog:chromeOptions": { "args": arguments, "prefs": { "intl.accept_languages": view.language } },
    })
}

/// A key by its name in the DOM, as the protocol has it. <https://www.w3.org/TR/webdriver2/#keyboard-actions>
fn key(name: &str) -> &str {
    match name {
        "Tab" => "\u{E004}",
        "Enter" => "\u{E007}",
        "Shift" => "\u{E008}",
        "Control" => "\u{E009}",
        "Alt" => "\u{E00A}",
        "Escape" => "\u{E00C}",
        "ArrowLeft" => "\u{E012}",
        "ArrowUp" => "\u{E013}",
        "ArrowRight" => "\u{E014}",
        "ArrowDown" => "\u{E015}",
        character => character,
    }
}

/// Starts chromedriver, and another one where it ends at once: the port that it chooses may be taken on the other loopback address.
async fn start_driver(profile: &TempDir) -> (Child, u16) {
    loop {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .env("TMPDIR", profile.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("chromedriver: {error}; these tests need Chromium and its driver"));
        let mut lines = BufReader::new(driver.stdout.as_mut().unwrap()).lines();
        while let Some(line) = lines.next_line().await.unwrap() {
            if let Some((_, port)) = line.split_once("started successfully on port ") {
                let port = port.trim_end_matches('.').parse().unwrap();
                return (driver, port);
            }
        }
    }
}

/// Sends a command, with a body as POST and without as GET: its value, or the error that it ended in.
async fn send(agent: &ureq::Agent, url: String, body: Option<Value>) -> Result<Value, Value> {
    let agent = agent.clone();
    let exchange = tokio::task::spawn_blocking(move || {
        let answer = match body {
            Some(body) => agent.post(url).content_type("application/json").send(body.to_string()),
            None => agent.get(url).call(),
        };
        let mut answer = answer.unwrap();
        (answer.status().is_success(), answer.body_mut().read_to_string().unwrap())
    });
    let (is_done, answer) = exchange.await.unwrap();
    let value = serde_json::from_str::<Value>(&answer).unwrap()["value"].take();
    if is_done { Ok(value) } else { Err(value) }
}
