//! Puts the server under load, in turns with a peer that does the same, against the same stub of DynamoDB.

mod load;
mod subject;
mod table;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::json;
use tokio::time::sleep;

use crate::process;
use crate::server::load::{Callback, Load, callbacks, closed, connect, open};
use crate::server::subject::{Memory, SETTLES, Server, Subject, check, subjects};
use crate::stub::{Counts, Dynamodb};

/// How often each is started.
const ROUNDS: usize = 3;
/// How many connections the load comes over.
const CONNECTIONS: usize = 64;
/// How many connections are held open where memory is measured.
const HELD: usize = 1_000;
/// Callbacks a second, where that is fixed.
const RATE: u32 = 500;
/// How long callbacks are sent that are not counted, so that what is compiled or cached on the way is not measured.
const WARM_UP: Duration = Duration::from_secs(2);
const CLOSED_LASTS: Duration = Duration::from_secs(3);
const OPEN_LASTS: Duration = Duration::from_secs(3);

/// What one start of a server and its load came to.
struct Round {
    idle: Memory,
    /// With every connection of [`HELD`] open, each of which has sent one callback.
    held: Memory,
    after: Memory,
    closed: Phase,
    open: Phase,
}

/// A load and what it cost.
struct Phase {
    load: Load,
    /// Processor time of the server.
    cpu: Duration,
    /// Processor time of this process: the client, the stub and the reader of the log.
    own_cpu: Duration,
}

/// Processor time so far.
struct Cpu {
    server: Duration,
    own: Duration,
}

impl Cpu {
    fn of(server: &Server) -> Result<Self> {
        Ok(Self { server: server.cpu()?, own: process::cpu(std::process::id())? })
    }

    fn until_now(self, server: &Server, load: Load) -> Result<Phase> {
        let now = Self::of(server)?;
        Ok(Phase { load, cpu: now.server - self.server, own_cpu: now.own - self.own })
    }
}

/// Measures both servers and writes the table and the plot to a folder.
pub(crate) async fn measure(functions: &Path, benches: &Path, output: &Path) -> Result<()> {
    let subjects = subjects(functions, benches);
    let binary = Path::new(&subjects[0].program[0]);
    ensure!(binary.exists(), "{} is not there: make bench-server builds it", binary.display());
    // A connection is a file.
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;

    let dynamodb = Dynamodb::start().await?;
    for subject in &subjects {
        println!("checking {}", subject.name);
        check(subject, &dynamodb).await?;
    }
    let mut rounds: [Vec<Round>; 2] = Default::default();
    for number in 0..ROUNDS {
        println!("servers, round {} of {ROUNDS}", number + 1);
        // In turn, so that what else the machine does meets both alike, and each time after the other one.
        for index in [number % 2, 1 - number % 2] {
            let subject = &subjects[index];
            let round = round(subject, &dynamodb).await.with_context(|| subject.name)?;
            rounds[index].push(round);
        }
    }
    let limit = stub_alone(&dynamodb).await?;
    table::write(output, benches, &subjects, &rounds, &limit)
}

/// Starts a server and puts it under load. Every callback must have put one item.
async fn round(subject: &Subject, dynamodb: &Dynamodb) -> Result<Round> {
    let server = Server::start(subject, dynamodb).await?;
    let counts = dynamodb.counts();

    let idle = server.memory()?;
    let connections = connect(server.port, HELD, &callbacks()?).await?;
    sleep(SETTLES).await;
    let held = server.memory()?;
    ensure!(connections.iter().all(|connection| connection.is_open()), "it closed connections");
    drop(connections);

    let connections = connect(server.port, CONNECTIONS, &callbacks()?).await?;
    let (connections, warm_up) = closed(connections, &callbacks()?, WARM_UP).await?;
    let cpu = Cpu::of(&server)?;
    let (connections, load) = closed(connections, &callbacks()?, CLOSED_LASTS).await?;
    let closed = cpu.until_now(&server, load)?;
    let cpu = Cpu::of(&server)?;
    let (connections, load) = open(connections, &callbacks()?, RATE, OPEN_LASTS).await?;
    let open = cpu.until_now(&server, load)?;
    drop(connections);
    sleep(SETTLES).await;
    let after = server.memory()?;
    server.end().await?;

    let answered = [&warm_up, &closed.load, &open.load].map(|load| load.latencies.len());
    let expected = Counts { items: (HELD + CONNECTIONS + answered.iter().sum::<usize>()) as u64, ..Counts::default() };
    let counts = dynamodb.counts().since(counts);
    ensure!(counts == expected, "{counts:?} is not {expected:?}");
    Ok(Round { idle, held, after, closed, open })
}

/// What the client and the stub do without a server between them: the client puts what the server put last.
async fn stub_alone(dynamodb: &Dynamodb) -> Result<Load> {
    let put = dynamodb.requests().pop().context("nothing was put")?;
    let put = [Callback::new(("/".to_owned(), put), &[], json!({}))?].into();
    let port = dynamodb.clear.rsplit(':').next().unwrap_or_default().parse()?;
    let connections = connect(port, CONNECTIONS, &put).await?;
    let (connections, _) = closed(connections, &put, WARM_UP).await?;
    Ok(closed(connections, &put, CLOSED_LASTS).await?.1)
}
