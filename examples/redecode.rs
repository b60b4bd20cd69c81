//! Decodes what is in quarantine again with the present code: records what it understands now, at its own time and key, and
//! takes it out of quarantine. What it does not understand stays.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a tool for the terminal")]

use std::borrow::Cow;
use std::collections::HashMap;
use std::env;
use std::io::Read;
use std::process::ExitCode;

use anyhow::{Context, Result};
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::primitives::{DateTime, DateTimeFormat};
use aws_sdk_dynamodb::types::AttributeValue;
use flate2::read::GzDecoder;
use group_ledger::ledger::{Ledger, Stored};
use group_ledger::platform::openim::OpenIm;
use group_ledger::platform::tencent_chat::TencentChat;
use group_ledger::platform::{Decoded, Platform};
use group_ledger::quarantine::{decode_again, group_key};
use group_ledger::record::{PARTITION_KEY, Record, SORT_KEY};
use group_ledger::request::{Query, Request};
use group_ledger::settings::Settings;
use group_ledger::timestamp::Timestamp;

const HELP: &str = "\
Decodes what is in quarantine again, records what is understood now and takes it out of quarantine.
Stopping it midway loses nothing: run it again.

  redecode [DAYS]   looks at the last DAYS days, today among them; 35 by default

The table and who may write to it, from the environment: TABLE_NAME, AWS_REGION and AWS_ACCESS_KEY_ID,
AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN (`aws configure export-credentials --format env` prints them);
AWS_ENDPOINT_URL_DYNAMODB for a local one. Whose callbacks: TENCENT_SDK_APP_ID, OPENIM_APP_ID, RETENTION_DAYS.
It needs dynamodb:Query, GetItem, PutItem and DeleteItem on the table.";

type Item = HashMap<String, AttributeValue>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let days = match args.as_slice() {
        [] => Some(35),
        [days] => days.parse().ok(),
        _ => None,
    };
    let Some(days) = days else {
        println!("{HELP}");
        return ExitCode::from(if args.iter().any(|arg| arg == "--help") { 0 } else { 2 });
    };
    match run(days).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(days: u32) -> Result<()> {
    // Nobody calls this tool, so nobody has to be kept from it.
    let lookup = |name: &str| match name {
        "TENCENT_ALLOW_UNSIGNED" | "OPENIM_ALLOW_ANONYMOUS" => Some("true".to_owned()),
        "TENCENT_CALLBACK_TOKENS" | "OPENIM_CREDENTIALS" => None,
        name => env::var(name).ok(),
    };
    let settings = Settings::new(&lookup);
    let ledger = Ledger::from_settings(&settings)?;
    let retention_days = settings.days("RETENTION_DAYS")?;
    let mut tally = Tally::default();
    if settings.text("TENCENT_SDK_APP_ID").is_some() {
        Quarantine { ledger: &ledger, platform: TencentChat::from_settings(&settings)?, retention_days }
            .take_up(days, &mut tally)
            .await?;
    }
    Quarantine { ledger: &ledger, platform: OpenIm::from_settings(&settings)?, retention_days }
        .take_up(days, &mut tally)
        .await?;
    let Tally { recorded, duplicates, ignored, kept } = tally;
    println!(
        "{recorded} recorded, {duplicates} recorded before, {ignored} are nothing to record, {kept} stay in quarantine."
    );
    Ok(())
}

#[derive(Default)]
struct Tally {
    recorded: u32,
    duplicates: u32,
    ignored: u32,
    kept: u32,
}

struct Quarantine<'l, P> {
    ledger: &'l Ledger,
    platform: P,
    retention_days: Option<u32>,
}

impl<P: Platform> Quarantine<'_, P> {
    async fn take_up(&self, days: u32, tally: &mut Tally) -> Result<()> {
        for day in (0..i64::from(days)).rev() {
            let day = Timestamp::now().unix_millis() - day * 86_400_000;
            let day = Timestamp::from_unix_millis(day).context("that many days ago there was no quarantine")?.date();
            let mut pages = self
                .ledger
                .client()
                .query()
                .table_name(self.ledger.table())
                .key_condition_expression("group_key = :day")
                .expression_attribute_values(
                    ":day",
                    AttributeValue::S(group_key(P::NAME, self.platform.app_id(), &day)),
                )
                .into_paginator()
                .items()
                .send();
            while let Some(item) = pages.next().await {
                let item = item.map_err(SdkError::into_service_error).context("the table cannot be read")?;
                self.take_up_one(&item, tally).await?;
            }
        }
        Ok(())
    }

    /// The body of an item, from the item itself or its parts.
    async fn body(&self, item: &Item) -> Result<Vec<u8>> {
        let mut gzip = Vec::new();
        if let Some(AttributeValue::N(parts)) = item.get("raw_parts") {
            for number in 0..parts.parse::<u32>()? {
                let key = format!("raw#{}#{number}", text(item, "digest")?);
                let get = self.ledger.client().get_item().table_name(self.ledger.table());
                let get =
                    get.key(PARTITION_KEY, AttributeValue::S(key)).key(SORT_KEY, AttributeValue::S("raw".to_owned()));
                let part = get.send().await.map_err(SdkError::into_service_error)?.item.context("a part is missing")?;
                gzip.extend_from_slice(bytes(&part)?);
            }
        } else if item.contains_key("raw_gzip") {
            gzip.extend_from_slice(bytes(item)?);
        } else {
            return Ok(text(item, "raw")?.as_bytes().to_vec());
        }
        let mut body = Vec::new();
        GzDecoder::new(gzip.as_slice()).read_to_end(&mut body)?;
        Ok(body)
    }

    /// Records before it removes, so that nothing is lost in between; a record that is there already stays as it is.
    async fn take_up_one(&self, item: &Item, tally: &mut Tally) -> Result<()> {
        let key = text(item, SORT_KEY)?;
        let body = self.body(item).await.with_context(|| format!("the item {key} has lost its body"))?;
        let request =
            request(item, &body).with_context(|| format!("the item {key} is not what was put into quarantine"))?;
        let outcome = match decode_again::<P>(&request) {
            Ok(Decoded::Change(change)) => {
                let kind = change.kind.as_str();
                let record = Record::new(P::NAME, self.platform.app_id(), change, &request, self.retention_days);
                match self.ledger.record(&record).await? {
                    Stored::Recorded => tally.recorded += 1,
                    Stored::Duplicate => tally.duplicates += 1,
                }
                kind.to_owned()
            }
            Ok(Decoded::Ignored { .. } | Decoded::UrlCheck) => {
                tally.ignored += 1;
                "nothing to record".to_owned()
            }
            Err(reason) => {
                tally.kept += 1;
                println!("{}  {key}  stays: {}", P::NAME, reason.refusal);
                return Ok(());
            }
        };
        println!("{}  {key}  {outcome}", P::NAME);
        let remove = self.ledger.client().delete_item().table_name(self.ledger.table());
        remove
            .key(PARTITION_KEY, AttributeValue::S(text(item, PARTITION_KEY)?.to_owned()))
            .key(SORT_KEY, AttributeValue::S(key.to_owned()))
            .send()
            .await
            .map_err(SdkError::into_service_error)
            .context("it is recorded, but cannot be taken out of quarantine")?;
        Ok(())
    }
}

/// The request that an item in quarantine holds.
fn request<'i>(item: &'i Item, body: &'i [u8]) -> Result<Request<'i>> {
    let kept = item.get("request").and_then(|request| request.as_m().ok()).context("it has no request")?;
    let headers = kept.get("headers").and_then(|headers| headers.as_m().ok()).into_iter().flatten();
    let headers = headers.filter_map(|(name, value)| Some((name.as_str().into(), value.as_s().ok()?.as_str().into())));
    let received_at = DateTime::from_str(text(item, "received_at")?, DateTimeFormat::DateTime)?.to_millis()?;
    Ok(Request {
        method: "POST".into(),
        path: text(kept, "path")?.into(),
        query: Query::parse(text(kept, "query")?),
        headers: headers.collect(),
        body: Cow::Borrowed(body),
        received_at: Timestamp::from_unix_millis(received_at).context("its time is implausible")?,
        request_id: text(item, "request_id").unwrap_or_default().into(),
    })
}

fn bytes(item: &Item) -> Result<&[u8]> {
    let bytes = item.get("raw_gzip").and_then(|value| value.as_b().ok()).context("it has no raw_gzip")?;
    Ok(bytes.as_ref())
}

fn text<'i>(item: &'i Item, name: &str) -> Result<&'i str> {
    let value = item.get(name).and_then(|value| value.as_s().ok());
    value.map(String::as_str).with_context(|| format!("it has no {name}"))
}
