//! The embedded DynamoDB, with the table as `template.yaml` defines it.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use dynoxide::Database;
use serde_json::{Value, json};

/// Opens the database and makes sure that it has the table.
pub(crate) fn open(file: &str, template: &Path, table: &str) -> Result<Database> {
    let database = if file == ":memory:" {
        Database::memory()
    } else {
        if let Some(folder) = Path::new(file).parent() {
            fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        }
        Database::new(file)
    }
    .with_context(|| format!("cannot open the ledger {file}"))?;

    let tables = database.list_tables(serde_json::from_value(json!({}))?)?;
    if !tables.table_names.iter().any(|name| name == table) {
        let mut definition = table_definition(template)?;
        definition["TableName"] = json!(table);
        let time_to_live =
            json!({ "TableName": table, "TimeToLiveSpecification": definition["TimeToLiveSpecification"] });
        database.create_table(serde_json::from_value(definition)?)?;
        database.update_time_to_live(serde_json::from_value(time_to_live)?)?;
    }
    Ok(database)
}

/// The properties of the template's one table.
fn table_definition(template: &Path) -> Result<Value> {
    let text = fs::read_to_string(template).with_context(|| format!("cannot read {}", template.display()))?;
    let template: serde_norway::Value = serde_norway::from_str(&text)?;
    let resources = template.get("Resources").and_then(|resources| resources.as_mapping()).context("no Resources")?;
    let table = resources
        .values()
        .find(|resource| resource.get("Type").and_then(|kind| kind.as_str()) == Some("AWS::DynamoDB::Table"))
        .and_then(|resource| resource.get("Properties"))
        .context("the template has no table")?;
    let mut definition = json!({});
    for property in ["AttributeDefinitions", "KeySchema", "BillingMode", "TimeToLiveSpecification"] {
        let value = table.get(property).with_context(|| format!("the template's table has no {property}"))?;
        definition[property] = serde_json::to_value(value)?;
    }
    Ok(definition)
}
