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

    /// The binaries of the functions that no API calls: the replay and the publisher.
    pub(crate) fn other_functions(&self) -> Vec<String> {
        self.functions_behind(None)
    }

    /// The binary of the function that a queue's messages are handed to.
    pub(crate) fn replay_function(&self) -> Result<String> {
        self.function_of_source(|source| source.get("FilterCriteria").is_none())
    }

    /// The binary of the function that the table's stream is handed to.
    pub(crate) fn publisher_function(&self) -> Result<String> {
        self.function_of_source(|source| source.get("FilterCriteria").is_some())
    }

    /// The binary of the function of an event source.
    fn function_of_source(&self, is_wanted: impl Fn(&Yaml) -> bool) -> Result<String> {
        let source = self.source(is_wanted)?;
        let alias = source.get("FunctionName").and_then(Yaml::as_str).context("an event source has no function")?;
        let id = alias.strip_suffix("Aliaslive").context("an event source's function is no alias")?;
        let function = self.0.get("Resources").and_then(|resources| resources.get(id));
        let binary = function
            .and_then(|function| function.get("Metadata")?.get("BuildProperties")?.get("Binary")?.as_str())
            .context("an event source's function has no binary")?;
        Ok(binary.to_owned())
    }

    /// The properties of an event source.
    fn source(&self, is_wanted: impl Fn(&Yaml) -> bool) -> Result<&Yaml> {
        let mut sources = self.resources("AWS::Lambda::EventSourceMapping");
        let source = sources.find_map(|source| source.get("Properties").filter(|properties| is_wanted(properties)));
        source.context("the template lacks an event source")
    }

    /// The table's stream, and how it is handed to the publisher.
    pub(crate) fn stream(&self) -> Result<StreamSettings> {
        let table = self.resources("AWS::DynamoDB::Table").next().and_then(|table| table.get("Properties"));
        let stream = table.and_then(|table| table.get("StreamSpecification"));
        // Of `!If [condition, stream, none]`.
        let stream = stream.and_then(|stream| stream.get(1)).context("the template's table has no stream")?;
        let view = stream.get("StreamViewType").and_then(Yaml::as_str).context("the stream has no view")?;
        let source = self.source(|source| source.get("FilterCriteria").is_some())?;
        let number = |name: &str| source.get(name).and_then(Yaml::as_u64).with_context(|| format!("no {name}"));
        let filter =
            source.get("FilterCriteria").and_then(|criteria| criteria.get("Filters")?.get(0)?.get("Pattern")?.as_str());
        Ok(StreamSettings {
            view: view.to_owned(),
            filter: filter.context("the event source has no filter")?.to_owned(),
            batch_size: usize::try_from(number("BatchSize")?)?,
            retries: number("MaximumRetryAttempts")?,
        })
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
        // The publisher's is there only with a bus.
        let queues = self.resources("AWS::SQS::Queue").filter(|queue| queue.get("Condition").is_none());
        let definitions = queues.map(|queue| {
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

/// What the template says of the table's stream.
pub(crate) struct StreamSettings {
    /// What its records have in them.
    pub(crate) view: String,
    /// Which of them reach the publisher.
    pub(crate) filter: String,
    /// The most records of a batch.
    pub(crate) batch_size: usize,
    /// How often a batch is tried again.
    pub(crate) retries: u64,
}
