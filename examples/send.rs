//! Sends sample callbacks as the platforms would, signed or with credentials, to a local or a deployed URL.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a tool for the terminal")]

use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{env, fs};

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use ureq::Agent;
use ureq::http::Request;

const HELP: &str = "\
Sends sample callbacks and prints the answers.

  send URL FILE…      sends the sample events of these files (events/*.json)
  send --smoke URL    sends one of each and what must be rejected, and checks the answers

URL is where the callbacks' paths begin: http://127.0.0.1:3000, or what `make deploy` prints without /tencent-chat.
A sample happens when it is sent: its EventTime is replaced by now, and so is its signature.

Who sends, from the environment, as the functions have it; the first of several counts:
  TENCENT_SDK_APP_ID        1400000000 by default
  TENCENT_CALLBACK_TOKENS   unsigned without it
  OPENIM_CREDENTIALS        anonymous without it";

/// Longer than any sender waits.
const TIMEOUT: Duration = Duration::from_secs(20);

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let result = match args.as_slice() {
        ["--help"] => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        ["--smoke", url] => smoke(&Sender::from_env(url)),
        [url, files @ ..] if !url.starts_with('-') && !files.is_empty() => send(&Sender::from_env(url), files),
        _ => {
            eprintln!("{HELP}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Sends files; fails where one is not answered as success.
fn send(sender: &Sender, files: &[&str]) -> Result<()> {
    let mut rejected = 0;
    for file in files {
        let answer = sender.send(&Callback::sample(file, sender)?)?;
        println!("{} {:6.1} ms  {file}\n  {}", answer.status, answer.millis, answer.body);
        rejected += usize::from(answer.status != 200);
    }
    if rejected > 0 {
        bail!("{rejected} of {} were not answered as success", files.len());
    }
    Ok(())
}

/// Sends one of each sample and what must be rejected; fails where an answer is another one.
fn smoke(sender: &Sender) -> Result<()> {
    let sample = |name: &str| Callback::sample(&format!("events/{name}.json"), sender);
    let mut checks = Vec::new();
    for name in [
        "tencent-chat-create-group",
        "tencent-chat-group-info-changed",
        "tencent-chat-change-group-owner",
        "tencent-chat-group-attr-changed",
        "openim-set-group-info-ex",
        "openim-set-group-info-ex-documented",
    ] {
        checks.push((name.to_owned(), sample(name)?, 200));
    }
    let mut check = |what: &str, status, callback: Callback| checks.push((what.to_owned(), callback, status));

    let tencent_chat = sample("tencent-chat-create-group")?;
    let foreign = tencent_chat.query.replacen("SdkAppid=", "SdkAppid=1", 1);
    check("another app's SdkAppid", 403, Callback { query: foreign, ..tencent_chat.clone() });
    check("a GET", 405, Callback { method: "GET", body: Vec::new(), ..tencent_chat.clone() });
    check(
        "the console's check of the URL",
        200,
        Callback { query: String::new(), body: Vec::new(), ..tencent_chat.clone() },
    );
    if sender.token.is_some() {
        let forged = Sender { token: Some("forged".to_owned()), ..sender.clone() };
        check("another token's Sign", 403, Callback::sample("events/tencent-chat-create-group.json", &forged)?);
    }
    if sender.credentials.is_some() {
        let forged = Sender { credentials: Some("no:body".to_owned()), ..sender.clone() };
        check("other credentials", 401, Callback::sample("events/openim-set-group-info-ex.json", &forged)?);
    }

    let mut wrong = 0;
    for (what, callback, expected) in &checks {
        let answer = sender.send(callback)?;
        let is_right = answer.status == *expected && (answer.status == 405 || answer.is_in_platforms_words(callback));
        println!("{} {} {:6.1} ms  {what}", if is_right { "ok   " } else { "WRONG" }, answer.status, answer.millis);
        if !is_right {
            println!("      expected {expected}, the answer is {}", answer.body);
            wrong += 1;
        }
    }
    if wrong > 0 {
        bail!("{wrong} of {} answers are wrong", checks.len());
    }
    println!("All {} answers are right.", checks.len());
    Ok(())
}

/// Who sends, and where to.
#[derive(Clone)]
struct Sender {
    url: String,
    sdk_app_id: String,
    token: Option<String>,
    credentials: Option<String>,
}

impl Sender {
    fn from_env(url: &str) -> Self {
        let setting = |name| env::var(name).ok().filter(|value: &String| !value.trim().is_empty());
        let first = |name| setting(name).and_then(|list| Some(list.split(',').next()?.trim().to_owned()));
        Self {
            url: url.trim_end_matches('/').to_owned(),
            sdk_app_id: setting("TENCENT_SDK_APP_ID").unwrap_or_else(|| "1400000000".to_owned()),
            token: first("TENCENT_CALLBACK_TOKENS"),
            credentials: first("OPENIM_CREDENTIALS"),
        }
    }

    fn send(&self, callback: &Callback) -> Result<Answer> {
        let agent: Agent = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(TIMEOUT))
            .allow_non_standard_methods(true)
            .build()
            .into();
        let query = if callback.query.is_empty() { String::new() } else { format!("?{}", callback.query) };
        let mut request =
            Request::builder().method(callback.method).uri(format!("{}{}{query}", self.url, callback.path));
        for (name, value) in &callback.headers {
            request = request.header(name, value);
        }
        let start = Instant::now();
        let response = agent.run(request.body(callback.body.clone())?);
        let mut response = response.with_context(|| format!("{} cannot be reached", self.url))?;
        let body = response.body_mut().read_to_string().context("the answer broke off")?;
        Ok(Answer { status: response.status().as_u16(), body, millis: start.elapsed().as_secs_f64() * 1000.0 })
    }
}

struct Answer {
    status: u16,
    body: String,
    millis: f64,
}

impl Answer {
    fn is_in_platforms_words(&self, callback: &Callback) -> bool {
        let body: Value = serde_json::from_str(&self.body).unwrap_or_default();
        let is_ok = if callback.is_tencent_chat() {
            body.get("ActionStatus").map(|status| status == "OK")
        } else {
            body.get("actionCode").map(|code| code == 0)
        };
        is_ok == Some(self.status == 200)
    }
}

#[derive(Clone)]
struct Callback {
    method: &'static str,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Callback {
    /// The callback of a sample event, as `sender` would send it now.
    fn sample(file: &str, sender: &Sender) -> Result<Self> {
        let event = fs::read_to_string(file).with_context(|| format!("cannot read {file}"))?;
        let event: Value = serde_json::from_str(&event).with_context(|| format!("{file} is no JSON"))?;
        let text = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let body = if event.get("isBase64Encoded") == Some(&Value::Bool(true)) {
            BASE64_STANDARD.decode(text("body")).with_context(|| format!("{file} has a broken body"))?
        } else {
            text("body").into_bytes()
        };
        let kept = ["content-type", "operationid"];
        let headers = event.get("headers").and_then(Value::as_object).into_iter().flatten();
        let headers = headers.filter(|(name, _)| kept.contains(&name.as_str()));
        let mut callback = Self {
            method: "POST",
            path: text("rawPath"),
            query: text("rawQueryString"),
            headers: headers
                .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()))
                .collect(),
            body,
        };
        if callback.path.is_empty() {
            bail!("{file} is no sample event");
        }
        callback.happen_now(sender)?;
        Ok(callback)
    }

    fn is_tencent_chat(&self) -> bool {
        self.path.starts_with("/tencent-chat")
    }

    /// Gives the callback the time and the sender's signature or credentials.
    fn happen_now(&mut self, sender: &Sender) -> Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?;
        if !self.is_tencent_chat() {
            if let Some(credentials) = &sender.credentials {
                self.headers
                    .push(("authorization".to_owned(), format!("Basic {}", BASE64_STANDARD.encode(credentials))));
            }
            return Ok(());
        }
        let mut body: Value = serde_json::from_slice(&self.body).context("the sample's body is no JSON")?;
        if let Some(time) = body.get_mut("EventTime") {
            *time = json!(u64::try_from(now.as_millis())?);
        }
        self.body = body.to_string().into_bytes();

        let own =
            form_urlencoded::parse(self.query.as_bytes()).filter(|(name, _)| name != "Sign" && name != "RequestTime");
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in own {
            let value = if name == "SdkAppid" { sender.sdk_app_id.as_str().into() } else { value };
            query.append_pair(&name, &value);
        }
        if let Some(token) = &sender.token {
            let time = now.as_secs().to_string();
            let sign = Sha256::new().chain_update(token).chain_update(&time).finalize();
            let sign = sign.iter().fold(String::new(), |sign, byte| sign + &format!("{byte:02x}"));
            query.append_pair("Sign", &sign).append_pair("RequestTime", &time);
        }
        self.query = query.finish();
        Ok(())
    }
}
