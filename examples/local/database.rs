//! The embedded DynamoDB, with the table as the template defines it.

use std::fs;
use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use anyhow::{Context, Result};
use dynoxide::Database;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::template::Template;

/// Serves a database over DynamoDB's protocol.
pub(crate) fn serve(listener: TcpListener, database: Database) -> Server {
    let (stop, stopped) = oneshot::channel::<()>();
    let served = tokio::spawn(dynoxide::server::serve_with_shutdown(listener, database, async {
        let _ = stopped.await;
    }));
    Server { stop, served: Box::pin(async { drop(served.await) }) }
}

/// A database that is served.
pub(crate) struct Server {
    stop: oneshot::Sender<()>,
    served: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Server {
    /// Stops serving.
    pub(crate) async fn stop(self) {
        drop(self.stop);
        // A client that keeps its connection busy must not keep the server from stopping.
        let _ = timeout(Duration::from_secs(2), self.served).await;
    }
}

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
