//! Sends sample callbacks as the platforms would, signed or with credentials, to a local or a deployed URL.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a tool for the terminal")]

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use std::{env, fs};

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use group_ledger::domain::timestamp::Timestamp;
use group_ledger::platform::{PLATFORMS, Registration};
use group_ledger::settings::Settings;
use serde_json::Value;
use ureq::Agent;
use ureq::http::{Method, Request};

const HELP: &str = "\
Sends sample callbacks and prints the answers.

  send URL FILE…      sends the sample events of these files (events/*.json)
  send --smoke URL    sends one of each and what must be rejected, and checks the answers

URL is where the callbacks' paths begin: http://127.0.0.1:3000, or what `make deploy` prints without /tencent-chat.
A sample happens when it is sent: its time is replaced by now, and so is its signature.

Who sends, from the environment, as the functions have it; the first of several secrets counts:
  TENCENT_SDK_APP_ID        1400000000 by default
  TENCENT_CALLBACK_TOKENS   unsigned without it
  OPENIM_CREDENTIALS        anonymous without it";

/// The headers of an event that API Gateway adds, or that are of one connection.
const NOT_THE_SENDERS: [&str; 7] = [
    "accept-encoding",
    "content-length",
    "host",
    "x-amzn-trace-id",
    "x-forwarded-for",
    "x-forwarded-port",
    "x-forwarded-proto",
];

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
        ["--smoke", url] => smoke(url),
        [url, files @ ..] if !url.starts_with('-') && !files.is_empty() => send(url, files),
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
fn send(url: &str, files: &[&str]) -> Result<()> {
    let mut rejected = 0;
    for file in files {
        let sample = Sample::read(Path::new(file))?;
        let answer = sample.signed(url, env_setting)?.send()?;
        println!("{} {:6.1} ms  {file}\n  {}", answer.status, answer.millis, answer.body);
        rejected += usize::from(answer.status != 200);
    }
    if rejected > 0 {
        bail!("{rejected} of {} were not answered as success", files.len());
    }
    Ok(())
}

/// Sends one of each sample and what must be rejected; fails where an answer is another one.
fn smoke(url: &str) -> Result<()> {
    let mut checks = Vec::new();
    let mut files: Vec<_> = fs::read_dir("events")?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    files.sort();
    for platform in PLATFORMS {
        let own = files.iter().filter(|file| {
            let name = file.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
            name.starts_with(platform.name) && !name.ends_with("-forged")
        });
        let samples: Vec<_> = own.map(|file| Sample::read(file)).collect::<Result<_>>()?;
        for sample in &samples {
            checks.push((sample.name.clone(), sample.signed(url, env_setting)?, [200, 200]));
        }
        let sample = samples.first().with_context(|| format!("there is no events/{}-….json", platform.name))?;
        let mut check =
            |what, callback, statuses| checks.push((format!("{}: {what}", platform.name), callback, statuses));
        let mut get = sample.signed(url, env_setting)?;
        *get.request.method_mut() = Method::GET;
        get.request.body_mut().clear();
        check("a GET", get, [405, 405]);
        let bare = Request::post(format!("{url}/{}", platform.name)).body(Vec::new())?;
        check(
            "the console's check of the URL",
            Callback { request: bare, ..sample.signed(url, env_setting)? },
            [200, 200],
        );
        for (name, _) in platform.sample_app {
            let setting = |asked: &str| if asked == *name { Some("1".to_owned()) } else { env_setting(asked) };
            check("another app's callback", sample.signed(url, setting)?, [401, 403]);
        }
        if env_setting(platform.secrets).is_some() {
            let setting =
                |asked: &str| if asked == platform.secrets { Some("for:ged".to_owned()) } else { env_setting(asked) };
            check("another secret", sample.signed(url, setting)?, [401, 403]);
        }
    }

    let mut wrong = 0;
    for (what, callback, expected) in &checks {
        let answer = callback.send()?;
        let is_right = expected.contains(&answer.status)
            && (answer.status == 405 || callback.is_success(&answer.body) == (answer.status == 200));
        println!("{} {} {:6.1} ms  {what}", if is_right { "ok   " } else { "WRONG" }, answer.status, answer.millis);
        if !is_right {
            println!("      expected {}, the answer is {}", expected[1], answer.body);
            wrong += 1;
        }
    }
    if wrong > 0 {
        bail!("{wrong} of {} answers are wrong", checks.len());
    }
    println!("All {} answers are right.", checks.len());
    Ok(())
}

/// A setting of who sends: the environment's, else the sample app's.
fn env_setting(name: &str) -> Option<String> {
    let own = env::var(name).ok().filter(|value| !value.trim().is_empty());
    let sample = PLATFORMS.iter().flat_map(|platform| platform.sample_app).find(|(setting, _)| *setting == name);
    own.or_else(|| sample.map(|(_, value)| (*value).to_owned()))
}

/// A sample event.
struct Sample {
    name: String,
    platform: &'static Registration,
    event: Value,
}

/// What is sent.
struct Callback {
    platform: &'static Registration,
    request: Request<Vec<u8>>,
}

struct Answer {
    status: u16,
    body: String,
    millis: f64,
}

impl Sample {
    fn read(file: &Path) -> Result<Self> {
        let event = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        let event: Value = serde_json::from_str(&event).with_context(|| format!("{} is no JSON", file.display()))?;
        let path = event.get("rawPath").and_then(Value::as_str).unwrap_or_default();
        let family = path.split('/').nth(1).unwrap_or_default();
        let platform = PLATFORMS.into_iter().find(|platform| platform.name == family);
        let platform = platform.with_context(|| format!("{} is no sample event", file.display()))?;
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { name, platform, event })
    }

    /// The sample as its sender would send it now to `url`, by `setting`.
    fn signed(&self, url: &str, setting: impl Fn(&str) -> Option<String>) -> Result<Callback> {
        let text = |name: &str| self.event.get(name).and_then(Value::as_str).unwrap_or_default();
        let body = if self.event.get("isBase64Encoded") == Some(&Value::Bool(true)) {
            BASE64_STANDARD.decode(text("body")).with_context(|| format!("{} has a broken body", self.name))?
        } else {
            text("body").as_bytes().to_vec()
        };
        let query = text("rawQueryString");
        let query = if query.is_empty() { String::new() } else { format!("?{query}") };
        let mut request = Request::post(format!("{}{}{query}", url.trim_end_matches('/'), text("rawPath")));
        let headers = self.event.get("headers").and_then(Value::as_object).into_iter().flatten();
        for (name, value) in headers.filter(|(name, _)| !NOT_THE_SENDERS.contains(&name.as_str())) {
            request = request.header(name, value.as_str().unwrap_or_default());
        }
        let mut request = request.body(body)?;
        (self.platform.sender)(&mut request, &Settings::new(&setting), Timestamp::now());
        Ok(Callback { platform: self.platform, request })
    }
}

impl Callback {
    fn send(&self) -> Result<Answer> {
        let agent: Agent = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(TIMEOUT))
            .allow_non_standard_methods(true)
            .build()
            .into();
        let start = Instant::now();
        let response = agent.run(self.request.clone());
        let mut response = response.with_context(|| format!("{} cannot be reached", self.request.uri().path()))?;
        let body = response.body_mut().read_to_string().context("the answer broke off")?;
        Ok(Answer { status: response.status().as_u16(), body, millis: start.elapsed().as_secs_f64() * 1000.0 })
    }

    /// Whether an answer is success in the platform's words.
    fn is_success(&self, body: &str) -> bool {
        let setting =
            |name: &str| (name == self.platform.allow_anybody).then(|| "true".to_owned()).or_else(|| env_setting(name));
        let success =
            (self.platform.from_settings)(&Settings::new(&setting)).map(|platform| platform.respond(None, Ok(())));
        success.is_ok_and(|success| success.body() == body)
    }
}
