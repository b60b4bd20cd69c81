//! The embedded DynamoDB, with the table as the template defines it.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use dynoxide::Database;
use rusqlite::Connection;
use serde_json::json;

use crate::template::Template;

/// Opens the database and makes sure that it has the table.
pub(crate) fn open(file: &str, template: &Template, table: &str) -> Result<Database> {
    let cannot_open = || format!("cannot open the ledger {file}");
    let database = if file == ":memory:" {
        Database::memory().with_context(cannot_open)?
    } else {
        if let Some(folder) = Path::new(file).parent() {
            fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        }
        let database = Database::new(file).with_context(cannot_open)?;
        index_stream(file).with_context(cannot_open)?;
        database
    };

    let tables = database.list_tables(serde_json::from_value(json!({}))?)?;
    if !tables.table_names.iter().any(|name| name == table) {
        let definition = template.table(table)?;
        database.create_table(serde_json::from_value(definition.clone())?)?;
        database.update_time_to_live(serde_json::from_value(definition)?)?;
    }
    Ok(database)
}

/// Indexes the entries of the tables' streams. The emulator numbers a new one by looking at all there are, and keeps them for good:
/// each write would be slower than the one before.
fn index_stream(file: &str) -> rusqlite::Result<()> {
    Connection::open(file)?.execute_batch(
        "CREATE INDEX IF NOT EXISTS stream_records ON _stream_records (table_name, CAST(sequence_number AS INTEGER))",
    )
}

/// Gives a table that an older version made the indexes that the template's has; the names of those that it lacked. What is in
/// the table and has an index's keys is in that index then.
pub(crate) fn add_indexes(database: &Database, template: &Template, table: &str) -> Result<Vec<String>> {
    let definition = template.table(table)?;
    let description = database.describe_table(serde_json::from_value(json!({ "TableName": table }))?)?;
    let description = serde_json::to_value(description)?;
    let present = description["Table"]["GlobalSecondaryIndexes"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut added = Vec::new();
    for index in definition["GlobalSecondaryIndexes"].as_array().into_iter().flatten() {
        let name = index["IndexName"].as_str().context("an index of the template's table has no name")?;
        if present.iter().any(|one| one["IndexName"] == name) {
            continue;
        }
        let update = json!({
            "TableName": table,
            "AttributeDefinitions": definition["AttributeDefinitions"],
            "GlobalSecondaryIndexUpdates": [{ "Create": index }],
        });
        database.update_table(serde_json::from_value(update)?)?;
        added.push(name.to_owned());
    }
    Ok(added)
}
