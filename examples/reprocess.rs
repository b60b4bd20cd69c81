//! Decodes what is in quarantine again with the present code: records what it understands now, at its own time and key, and
//! takes it out of quarantine. What it does not understand stays.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a tool for the terminal")]

use std::borrow::Cow;
use std::collections::HashMap;
use std::env;
use std::io::Read;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::primitives::{DateTime, DateTimeFormat};
use aws_sdk_dynamodb::types::AttributeValue;
use flate2::read::GzDecoder;
use group_ledger::domain::quarantine::group_key;
use group_ledger::domain::record::{PARTITION_KEY, Part, Record, SORT_KEY};
use group_ledger::domain::request::{Query, Request};
use group_ledger::domain::timestamp::Timestamp;
use group_ledger::host::aws;
use group_ledger::ingest::reprocess::reprocess;
use group_ledger::platform::openim::OpenIm;
use group_ledger::platform::tencent_chat::TencentChat;
use group_ledger::platform::{Decoded, Platform};
use group_ledger::settings::Settings;
use group_ledger::storage::envelope::Envelope;
use group_ledger::storage::ledger::{Ledger, Written};

use crate::tool::{TIMEOUTS, ended, helped};

mod tool;

const HELP: &str = "\
Decodes what is in quarantine again, records what is understood now and takes it out of quarantine.
Stopping it midway loses nothing: run it again.

  reprocess [DAYS]   looks at the last DAYS days, today among them; 35 by default

The table and who may write to it, from the environment: TABLE_NAME, AWS_REGION and AWS_ACCESS_KEY_ID,
AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN (`aws configure export-credentials --format env` prints them);
AWS_ENDPOINT_URL_DYNAMODB for a local one. Whose callbacks: TENCENT_SDK_APP_ID, OPENIM_APP_ID.
It needs dynamodb:Query, GetItem, PutItem and DeleteItem on the table.";

/// How long one callback may take.
const PATIENCE: Duration = Duration::from_mins(1);

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
        return helped(HELP);
    };
    ended(run(days).await)
}

async fn run(days: u32) -> Result<()> {
    // Nobody calls this tool, so nobody has to be kept from it.
    let lookup = |name: &str| match name {
        "TENCENT_ALLOW_UNSIGNED" | "OPENIM_ALLOW_ANONYMOUS" => Some("true".to_owned()),
        "TENCENT_CALLBACK_TOKENS" | "OPENIM_CREDENTIALS" => None,
        name => env::var(name).ok(),
    };
    let settings = Settings::new(&lookup);
    let ledger = Ledger::from_settings(&settings, &aws::config(&settings, TIMEOUTS)?)?;
    let mut tally = Tally::default();
    if settings.text("TENCENT_SDK_APP_ID").is_some() {
        take_up(&ledger, &TencentChat::from_settings(&settings)?, days, &mut tally).await?;
    } else {
        println!("{}: not looked at, because TENCENT_SDK_APP_ID is not set", TencentChat::NAME);
    }
    take_up(&ledger, &OpenIm::from_settings(&settings)?, days, &mut tally).await?;
    let Tally { recorded, duplicates, ignored, kept, broken } = tally;
    println!(
        "{recorded} recorded, {duplicates} recorded before, {ignored} are nothing to record, {kept} stay in quarantine."
    );
    ensure!(broken == 0, "{broken} of those that stay could not be read or recorded; see above");
    Ok(())
}

#[derive(Default)]
struct Tally {
    recorded: u32,
    duplicates: u32,
    ignored: u32,
    kept: u32,
    broken: u32,
}

/// Takes up what a platform's app has in quarantine, from its oldest day on.
async fn take_up<P: Platform>(ledger: &Ledger, platform: &P, days: u32, tally: &mut Tally) -> Result<()> {
    println!("{} {}: the last {days} days", P::NAME, platform.app_id());
    for day in (0..i64::from(days)).rev() {
        let day = Timestamp::now().unix_millis() - day * 86_400_000;
        let day = Timestamp::from_unix_millis(day).context("that many days ago there was no quarantine")?.date();
        let key = AttributeValue::S(group_key(P::NAME, platform.app_id(), &day));
        let query = ledger.client().query().table_name(ledger.table());
        let query = query.key_condition_expression("group_key = :day").expression_attribute_values(":day", key);
        let mut items = query.into_paginator().page_size(25).items().send();
        while let Some(item) = items.next().await {
            let item = item.map_err(SdkError::into_service_error).context("the table cannot be read")?;
            // One that is broken must not keep the later ones where they are.
            if let Err(error) = take_up_one::<P>(ledger, platform, &item, tally).await {
                println!("  {}  stays: {error:#}", text(&item, SORT_KEY)?);
                tally.kept += 1;
                tally.broken += 1;
            }
        }
    }
    Ok(())
}

/// Records before it removes, so that nothing is lost in between; a record that is there already stays as it is.
async fn take_up_one<P: Platform>(ledger: &Ledger, platform: &P, item: &Item, tally: &mut Tally) -> Result<()> {
    let key = text(item, SORT_KEY)?;
    let parts = parts(item)?;
    let body = body(ledger, item, &parts).await.context("its body cannot be read")?;
    let request = request(item, &body)?;
    match reprocess::<P>(&request) {
        Ok(Decoded::Change(change)) => {
            println!("  {key}  {}", change.kind.as_str());
            let mut record = Record::new(P::NAME, platform.app_id(), change, &request, None);
            record.expires_at = item.get("expires_at").and_then(|value| value.as_n().ok()?.parse().ok());
            let envelopes: Vec<Envelope<'_>> = record.into();
            match ledger.write(&envelopes, PATIENCE).await? {
                Written::Recorded => tally.recorded += 1,
                Written::Duplicate => tally.duplicates += 1,
            }
        }
        Ok(Decoded::Ignored(_) | Decoded::UrlCheck) => {
            println!("  {key}  nothing to record");
            tally.ignored += 1;
        }
        Err(reason) => {
            println!("  {key}  stays: {}", reason.rejection);
            tally.kept += 1;
            return Ok(());
        }
    }
    // The parts last: an item without them could not be taken up again.
    remove(ledger, text(item, PARTITION_KEY)?, key).await?;
    for part in parts {
        remove(ledger, &part, Part::CHANGE_KEY).await?;
    }
    Ok(())
}

async fn remove(ledger: &Ledger, group_key: &str, change_key: &str) -> Result<()> {
    let remove = ledger.client().delete_item().table_name(ledger.table());
    let remove = remove.key(PARTITION_KEY, AttributeValue::S(group_key.to_owned()));
    let remove = remove.key(SORT_KEY, AttributeValue::S(change_key.to_owned()));
    remove.send().await.map_err(SdkError::into_service_error).context("it cannot be taken out of quarantine")?;
    Ok(())
}

/// The partition keys of the parts of an item's body; none where the item has it itself.
fn parts(item: &Item) -> Result<Vec<String>> {
    let count = item.get("raw_parts").and_then(|value| value.as_n().ok()?.parse().ok()).unwrap_or(0);
    (0..count).map(|number| Ok(Part::group_key(text(item, "raw_key")?, number))).collect()
}

/// The body of an item, from the item itself or its parts.
async fn body(ledger: &Ledger, item: &Item, parts: &[String]) -> Result<Vec<u8>> {
    let mut gzip = Vec::new();
    for part in parts {
        let get = ledger.client().get_item().table_name(ledger.table());
        let get = get.key(PARTITION_KEY, AttributeValue::S(part.clone()));
        let get = get.key(SORT_KEY, AttributeValue::S(Part::CHANGE_KEY.to_owned()));
        let part = get.send().await.map_err(SdkError::into_service_error)?.item.context("a part is missing")?;
        gzip.extend_from_slice(bytes(&part)?);
    }
    if parts.is_empty() {
        if let Ok(raw) = text(item, "raw") {
            return Ok(raw.as_bytes().to_vec());
        }
        gzip.extend_from_slice(bytes(item)?);
    }
    let mut body = Vec::new();
    GzDecoder::new(gzip.as_slice()).read_to_end(&mut body)?;
    Ok(body)
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
