//! The embedded DynamoDB, with the table as the template defines it.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use dynoxide::Database;
use serde_json::json;

use crate::template::Template;

/// Opens the database and makes sure that it has the table.
pub(crate) fn open(file: &str, template: &Template, table: &str) -> Result<Database> {
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
        let definition = template.table(table)?;
        database.create_table(serde_json::from_value(definition.clone())?)?;
        database.update_time_to_live(serde_json::from_value(definition)?)?;
    }
    Ok(database)
}
