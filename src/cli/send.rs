//! `group-ledger send` and `smoke`: sample callbacks as the platforms would send them, signed or with credentials, to a local or a
//! deployed URL.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result, bail};
use aws_smithy_http_client::{Connector, tls};
use aws_smithy_runtime_api::client::http::HttpConnector as _;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use clap::ValueHint;
use http::{Method, Request};
use serde_json::json;
use tokio::time::timeout;

use crate::cli::connect::{is_local, variable};
use crate::cli::human::shown_up_to;
use crate::cli::output::{Style, note};
use crate::cli::samples::Sample;
use crate::cli::{Session, Usage, demo};
use crate::domain::timestamp::Timestamp;
use crate::platform::{PLATFORMS, Registration};
use crate::settings::Settings;

const SETTINGS: &str = "\
Who sends, from the environment, as the functions have it; the first of several secrets counts:
  TENCENT_SDK_APP_ID        1400000000 by default
  TENCENT_CALLBACK_TOKENS   unsigned without it
  OPENIM_CREDENTIALS        anonymous without it";

/// The most of an answer that is shown: it is that of whoever has the URL.
const MAX_ANSWER_CHARS: usize = 2_000;
/// Longer than any sender waits.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Send sample callbacks as the platforms would, and show the answers
///
/// A sample happens when it is sent: its time is replaced by now, and so is its signature.
#[derive(clap::Args)]
#[command(after_long_help = SETTINGS, after_help = "\
Examples:
  group-ledger send http://127.0.0.1:3000 --demo
  group-ledger send http://127.0.0.1:3000 tencent-chat-create-group
  TENCENT_CALLBACK_TOKENS=… group-ledger send https://abcdefghij.execute-api.us-east-1.amazonaws.com event.json

--help says whose settings sign a sample.")]
pub(crate) struct SendArgs {
    /// Where the callbacks' paths begin: http://127.0.0.1:3000, or what `make deploy` prints without /tencent-chat
    #[arg(value_name = "URL", value_hint = ValueHint::Url)]
    url: String,
    /// Sample events, as events/*.json, or their names, as tencent-chat-create-group
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath, required_unless_present = "demo")]
    files: Vec<PathBuf>,
    /// Send a week in the life of three groups, of both platforms, one with gaps; each time groups of their own
    ///
    /// Callbacks that carry no time, as OpenIM's, are placed where they arrive: all at once.
    #[arg(long, conflicts_with = "files")]
    demo: bool,
    /// Send the demo elsewhere than to this machine: its records stay
    #[arg(long, requires = "demo")]
    yes: bool,
}

/// Send one of each sample and what must be rejected, and check the answers
///
/// The samples are recorded as any callback is.
#[derive(clap::Args)]
#[command(after_long_help = SETTINGS, after_help = "\
Examples:
  group-ledger smoke http://127.0.0.1:3000
  TENCENT_CALLBACK_TOKENS=… OPENIM_CREDENTIALS=… group-ledger smoke https://abcdefghij.execute-api.us-east-1.amazonaws.com

--help says whose settings sign a sample.")]
pub(crate) struct SmokeArgs {
    /// Where the callbacks' paths begin: http://127.0.0.1:3000, or what `make deploy` prints without /tencent-chat
    #[arg(value_name = "URL", value_hint = ValueHint::Url)]
    url: String,
}

/// Sends files; fails where one is not answered as success.
pub(crate) async fn send(args: SendArgs, session: &mut Session) -> Result<()> {
    let now = Timestamp::now();
    let run = format!("{:x}", now.unix_seconds());
    if args.demo && !args.yes && !is_local(&args.url) {
        let problem =
            "the demo's records would stay in a ledger that is not on this machine: --yes sends it all the same";
        return Err(Usage::new(problem).into());
    }
    let samples: Vec<_> = if args.demo {
        demo::week(now, &run)?
    } else {
        args.files.iter().map(|file| Sample::find(file)).collect::<Result<_>>()?
    };
    let mut rejected = 0;
    for sample in &samples {
        let mut callback = sample.signed(&args.url, setting, Timestamp::now())?;
        if args.demo {
            // It has its own time, which no signature covers.
            callback.request.body_mut().clone_from(&sample.body);
        }
        let answer = callback.send().await?;
        if session.options.json {
            let Answer { status, body, millis } = &answer;
            session.output.json(&json!({ "sample": sample.name, "status": status, "millis": millis, "body": body }))?;
        } else {
            let style = if answer.status == 200 { Style::Good } else { Style::Bad };
            let status = session.output.paint(style, &answer.status.to_string());
            let body = if args.demo && answer.status == 200 {
                String::new()
            } else {
                format!("\n  {}", shown_up_to(&answer.body, MAX_ANSWER_CHARS))
            };
            session.output.line(format!("{status} {:6.1} ms  {}{body}", answer.millis, sample.name))?;
        }
        rejected += usize::from(answer.status != 200);
    }
    if rejected > 0 {
        bail!("{rejected} of {} were not answered as success", samples.len());
    }
    if args.demo {
        note("Now look at the groups, the second of which has gaps:");
        let program = std::env::args().next().unwrap_or_default();
        // As `make run` chooses it.
        let port = variable("DYNAMODB_PORT").unwrap_or_else(|| "8000".to_owned());
        let endpoint =
            if is_local(&args.url) { format!(" --endpoint-url http://127.0.0.1:{port}") } else { String::new() };
        let keys = demo::groups(&run, |platform| (platform.app_id)(&Settings::new(&setting)));
        for key in &keys {
            note(&format!("  {program} state '{key}'{endpoint}"));
        }
        note("With --at 3d as they were three days ago. `history --previous` in place of `state` shows each change.");
        if is_local(&args.url) {
            note("Or in a browser, with the token that `make run` printed:");
            for key in keys {
                let key: String = form_urlencoded::byte_serialize(key.as_bytes()).collect();
                note(&format!("  {}/ledger#/group/{key}", args.url.trim_end_matches('/')));
            }
        }
    }
    Ok(())
}

/// Sends one of each sample and what must be rejected; fails where an answer is another one.
pub(crate) async fn smoke(args: SmokeArgs, session: &mut Session) -> Result<()> {
    let checks = checks(&args.url)?;
    let mut wrong = 0;
    for (what, callback, expected) in &checks {
        let answer = callback.send().await?;
        let is_right = expected.contains(&answer.status)
            && (answer.status == 405 || callback.is_success(&answer.body) == (answer.status == 200));
        if session.options.json {
            let Answer { status, body, millis } = &answer;
            let own = json!({ "check": what, "right": is_right, "status": status, "millis": millis, "body": body });
            session.output.json(&own)?;
        } else {
            let (style, word) = if is_right { (Style::Good, "ok   ") } else { (Style::Bad, "WRONG") };
            let word = session.output.paint(style, word);
            session.output.line(format!("{word} {} {:6.1} ms  {what}", answer.status, answer.millis))?;
            if !is_right {
                let expected = expected.last().copied().unwrap_or_default();
                session.output.line(format!(
                    "      expected {expected}, the answer is {}",
                    shown_up_to(&answer.body, MAX_ANSWER_CHARS)
                ))?;
            }
        }
        wrong += usize::from(!is_right);
    }
    if wrong > 0 {
        bail!("{wrong} of {} answers are wrong", checks.len());
    }
    if session.options.json {
        return Ok(());
    }
    session.output.line(format!("All {} checks passed.", checks.len()))
}

/// What is checked, what is sent for that, and the statuses that are right.
type Check = (String, Callback, [u16; 2]);

fn checks(url: &str) -> Result<Vec<Check>> {
    let mut checks = Vec::new();
    let all = Sample::all()?;
    // A millisecond apart, so that the ledger has them in the order in which they are sent.
    let mut at = Timestamp::now();
    let mut next = || {
        at = at.plus_millis(1);
        at
    };
    for platform in PLATFORMS {
        let samples: Vec<_> = all.iter().filter(|sample| sample.platform.name == platform.name).collect();
        for sample in &samples {
            checks.push((sample.name.clone(), sample.signed(url, setting, next())?, [200, 200]));
        }
        let sample = samples.first().with_context(|| format!("there is no sample of {}", platform.name))?;
        let mut check =
            |what, callback, statuses| checks.push((format!("{}: {what}", platform.name), callback, statuses));
        let mut get = sample.signed(url, setting, next())?;
        *get.request.method_mut() = Method::GET;
        get.request.body_mut().clear();
        check("a GET", get, [405, 405]);
        let bare = Request::post(format!("{}/{}", url.trim_end_matches('/'), platform.name)).body(Vec::new())?;
        check("the console's check of the URL", Callback { request: bare, platform }, [200, 200]);
        for (name, _) in platform.sample_app {
            let setting = |asked: &str| if asked == *name { Some("1".to_owned()) } else { setting(asked) };
            check("another app's callback", sample.signed(url, setting, next())?, [401, 403]);
        }
        if setting(platform.secrets).is_some() {
            let setting =
                |asked: &str| if asked == platform.secrets { Some("for:ged".to_owned()) } else { setting(asked) };
            check("another secret", sample.signed(url, setting, next())?, [401, 403]);
        }
    }
    Ok(checks)
}

/// A setting of who sends: the environment's, else the sample app's.
fn setting(name: &str) -> Option<String> {
    let sample = PLATFORMS.iter().flat_map(|platform| platform.sample_app).find(|(setting, _)| *setting == name);
    variable(name).or_else(|| sample.map(|(_, value)| (*value).to_owned()))
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
    /// The sample as its sender would send it to `url` for a change that happens `at` a time, by `setting`.
    fn signed(&self, url: &str, setting: impl Fn(&str) -> Option<String>, at: Timestamp) -> Result<Callback> {
        let query = if self.query.is_empty() { String::new() } else { format!("?{}", self.query) };
        let mut request = Request::post(format!("{}{}{query}", url.trim_end_matches('/'), self.path));
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let is_url = url.starts_with("http://") || url.starts_with("https://");
        let request = request.body(self.body.clone()).ok().filter(|_| is_url);
        let mut request = request.ok_or_else(|| {
            Usage::new(format!("\"{url}\" is no URL to send to: it must begin with http:// or https://"))
        })?;
        (self.platform.sender)(&mut request, &Settings::new(&setting), at);
        Ok(Callback { platform: self.platform, request })
    }
}

impl Callback {
    async fn send(&self) -> Result<Answer> {
        let path = self.request.uri().path().to_owned();
        let request = self.request.clone().map(SdkBody::from).try_into().context("the callback cannot be sent")?;
        // A connection each, as the platforms make when they have been quiet.
        let connector =
            Connector::builder().tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring)).build();
        let start = Instant::now();
        let exchange = async {
            let response = connector.call(request).await.with_context(|| format!("{path} cannot be reached"))?;
            let status = response.status().as_u16();
            let body = ByteStream::new(response.into_body()).collect().await.context("the answer broke off")?;
            Ok::<_, Error>((status, String::from_utf8_lossy(&body.into_bytes()).into_owned()))
        };
        let exchanged = timeout(TIMEOUT, exchange).await;
        let (status, body) =
            exchanged.with_context(|| format!("{path} did not answer within {} s", TIMEOUT.as_secs()))??;
        Ok(Answer { status, body, millis: start.elapsed().as_secs_f64() * 1000.0 })
    }

    /// Whether an answer is success in the platform's words.
    fn is_success(&self, body: &str) -> bool {
        let setting =
            |name: &str| (name == self.platform.allow_anybody).then(|| "true".to_owned()).or_else(|| setting(name));
        let success =
            (self.platform.from_settings)(&Settings::new(&setting)).map(|platform| platform.respond(None, Ok(())));
        success.is_ok_and(|success| success.body() == body)
    }
}
