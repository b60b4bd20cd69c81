//! What the local stack takes from `template.yaml`, so that it is the deployed one as far as it goes.

use std::fs;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use serde_norway::Value as Yaml;

/// The template, from the folder that `cargo` and `make` run in.
pub(crate) struct Template(Yaml);

impl Template {
    pub(crate) fn read() -> Result<Self> {
        let text = fs::read_to_string("template.yaml").context("cannot read template.yaml: run `make run`")?;
        Ok(Self(serde_norway::from_str(&text)?))
    }

    /// The functions' binaries.
    pub(crate) fn binaries(&self) -> Vec<String> {
        let binary = |function: &Yaml| {
            Some(function.get("Metadata")?.get("BuildProperties")?.get("Binary")?.as_str()?.to_owned())
        };
        self.resources("AWS::Serverless::Function").filter_map(binary).collect()
    }

    /// The table's definition, as `CreateTable` and `UpdateTimeToLive` take it.
    pub(crate) fn table(&self, name: &str) -> Result<Value> {
        let table = self.resources("AWS::DynamoDB::Table").next().and_then(|table| table.get("Properties"));
        let table = table.context("the template has no table")?;
        let mut definition = json!({ "TableName": name });
        for property in ["AttributeDefinitions", "KeySchema", "BillingMode", "TimeToLiveSpecification"] {
            let value = table.get(property).with_context(|| format!("the template's table has no {property}"))?;
            definition[property] = serde_json::to_value(value)?;
        }
        Ok(definition)
    }

    fn resources(&self, kind: &'static str) -> impl Iterator<Item = &Yaml> {
        let resources = self.0.get("Resources").and_then(Yaml::as_mapping).into_iter();
        resources
            .flat_map(|resources| resources.values())
            .filter(move |resource| resource.get("Type").and_then(Yaml::as_str) == Some(kind))
    }
}
