//! The local DynamoDB, which can be cut off and brought back.

use std::time::Duration;

use anyhow::Result;
use dynoxide::Database;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// A database, and while it is served what serves it.
pub(crate) struct Dynamodb {
    database: Database,
    server: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Dynamodb {
    /// Serves a database.
    pub(crate) fn serve(listener: TcpListener, database: Database) -> Self {
        let mut dynamodb = Self { database, server: None };
        dynamodb.bring_back(listener);
        dynamodb
    }

    /// Whether it is cut off.
    pub(crate) fn is_cut_off(&self) -> bool {
        self.server.is_none()
    }

    /// Serves the database again.
    pub(crate) fn bring_back(&mut self, listener: TcpListener) {
        let (stop, stopped) = oneshot::channel::<()>();
        let database = self.database.clone();
        let served = tokio::spawn(async {
            let stopped = async { drop(stopped.await) };
            drop(dynoxide::server::serve_with_shutdown(listener, database, stopped).await);
        });
        self.server = Some((stop, served));
    }

    /// Stops serving it.
    pub(crate) async fn cut_off(&mut self) -> Result<()> {
        let Some((stop, served)) = self.server.take() else { return Ok(()) };
        drop(stop);
        // A client that keeps its connection busy must not keep the server from stopping.
        if let Ok(served) = timeout(Duration::from_secs(2), served).await {
            served?;
        }
        Ok(())
    }
}
