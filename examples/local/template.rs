//! What the local stack takes from `template.yaml`, so that it is the deployed one as far as it goes.

use std::fs;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use serde_norway::Value as Yaml;

use crate::queue::{Definition, Definitions};

/// The template, from the folder that `cargo` and `make` run in.
pub(crate) struct Template(Yaml);

impl Template {
    pub(crate) fn read() -> Result<Self> {
        let text = fs::read_to_string("template.yaml").context("cannot read template.yaml: run `make run`")?;
        Ok(Self(serde_norway::from_str(&text)?))
    }

    /// The binaries of the functions that callbacks reach.
    pub(crate) fn callback_functions(&self) -> Vec<String> {
        self.functions_behind(Some("Callbacks"))
    }

    /// The binaries of the functions that readers reach.
    pub(crate) fn reader_functions(&self) -> Vec<String> {
        self.functions_behind(Some("Reader"))
    }

    /// The binaries of the functions that no API calls: the replay.
    pub(crate) fn other_functions(&self) -> Vec<String> {
        self.functions_behind(None)
    }

    /// The binaries of the functions that an API calls.
    fn functions_behind(&self, api: Option<&str>) -> Vec<String> {
        let binary = |function: &Yaml| {
            Some(function.get("Metadata")?.get("BuildProperties")?.get("Binary")?.as_str()?.to_owned())
        };
        // A function's routes are all of one API.
        let own_api = |function: &Yaml| {
            let events = function.get("Properties")?.get("Events")?.as_mapping()?;
            events.values().find_map(|event| Some(event.get("Properties")?.get("ApiId")?.as_str()?.to_owned()))
        };
        let functions = self.resources("AWS::Serverless::Function");
        functions.filter(|function| own_api(function).as_deref() == api).filter_map(binary).collect()
    }

    /// The table's definition, as `CreateTable` and `UpdateTimeToLive` take it.
    pub(crate) fn table(&self, name: &str) -> Result<Value> {
        let table = self.resources("AWS::DynamoDB::Table").next().and_then(|table| table.get("Properties"));
        let table = table.context("the template has no table")?;
        let mut definition = json!({ "TableName": name });
        for property in
            ["AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "BillingMode", "TimeToLiveSpecification"]
        {
            let value = table.get(property).with_context(|| format!("the template's table has no {property}"))?;
            definition[property] = serde_json::to_value(value)?;
        }
        Ok(definition)
    }

    /// The definitions of the fallback queue and of its dead letters.
    pub(crate) fn queues(&self) -> Result<Definitions> {
        let definitions = self.resources("AWS::SQS::Queue").map(|queue| {
            let properties = queue.get("Properties").context("a queue has no properties")?;
            let retention = properties.get("MessageRetentionPeriod").and_then(Yaml::as_u64);
            let policy = properties.get("RedrivePolicy");
            Ok(Definition {
                retention_seconds: retention.context("a queue has no MessageRetentionPeriod")?,
                max_receive_count: policy.and_then(|policy| policy.get("maxReceiveCount")?.as_u64()),
            })
        });
        let definitions: Result<Vec<_>> = definitions.collect();
        let (fallback_queue, dead_letters) =
            definitions?.into_iter().partition(|queue| queue.max_receive_count.is_some());
        let only = |mut queues: Vec<_>| queues.pop().filter(|_| queues.is_empty());
        Ok(Definitions {
            fallback_queue: only(fallback_queue).context("the template has not one queue with dead letters")?,
            dead_letters: only(dead_letters).context("the template has not one queue of dead letters")?,
            visibility_seconds: 30,
        })
    }

    fn resources(&self, kind: &'static str) -> impl Iterator<Item = &Yaml> {
        let resources = self.0.get("Resources").and_then(Yaml::as_mapping).into_iter();
        resources
            .flat_map(|resources| resources.values())
            .filter(move |resource| resource.get("Type").and_then(Yaml::as_str) == Some(kind))
    }
}
