//! The same for the server: load with an outage, SIGTERMs, slow connections, more callbacks at once than it handles.

use std::net::Ipv4Addr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{
    Duration, HashMap, Instant, JoinSet, MissedTickBehavior, change, drained, figures, interval, outcomes, send,
    send_at_rate, sleep, support, timeout,
};
use crate::reliability::{ALWAYS, World};
use crate::support::fault::Fault;
use crate::support::server::Server;
use crate::support::{OPENIM, TEST_TIMEOUT, Table, cli, free_port};

const A_SECOND: u32 = 1_000;
const SECONDS: u32 = 300;
const SLOW: usize = 1_000;

/// DynamoDB hangs, which is the worst it can do; the server itself replays what it queued meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "five minutes of load: make chaos"]
async fn a_thousand_callbacks_a_second_with_an_outage() {
    let nothing = (Fault::Hang, 0);
    let world = World::start(nothing, nothing).await;
    let mut settings = world.settings();
    settings.insert("REPLAY".to_owned(), "on".to_owned());
    let server = Server::start(&settings).await;
    let outage = async {
        sleep(Duration::from_secs(100)).await;
        world.to_ledger.arm(ALWAYS);
        println!("  DynamoDB hangs");
        sleep(Duration::from_secs(20)).await;
        world.to_ledger.arm(0);
        println!("  DynamoDB is back");
    };
    let (answers, ()) = tokio::join!(send_at_rate(server.port, A_SECOND, SECONDS, change), outage);
    let start = Instant::now();
    drained(&world.queues).await;
    let drained_after = start.elapsed();
    assert_eq!(world.queues.depth(&world.queues.dead_letters).await.unwrap(), 0);
    let log = server.end().await;

    figures(&format!("Server, {A_SECOND} a second for {SECONDS} s, 20 s of them without DynamoDB"), &answers);
    let groups = by_group(&world.table);
    let lost = (0..answers.len()).filter(|number| !groups.contains_key(&format!("g{number}"))).count();
    let doubled = groups.values().filter(|records| **records > 1).count();
    let outcomes = outcomes(&log);
    println!(
        "  {lost} lost, {doubled} doubled; the fallback queue empty {drained_after:.1?} after the last callback; {outcomes:?}"
    );
    assert_eq!((lost, doubled), (0, 0));
    assert!(outcomes["queued"] >= 10_000, "the outage was none");
}

/// How many records each group has.
fn by_group(table: &Table) -> HashMap<String, usize> {
    let mut groups = HashMap::new();
    for record in table.records() {
        *groups.entry(record["group_id"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    groups
}

/// Four senders, and a server that is ended again and again and started on the same port.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "make chaos"]
async fn a_hundred_sigterms() {
    const SIGTERMS: usize = 100;
    let table = Table::start().await;
    let port = free_port().await;
    let mut settings = table.settings(&[]);
    settings.insert("PORT".to_owned(), port.to_string());
    let mut senders = JoinSet::new();
    let is_over = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    for sender in 0..4 {
        let is_over = std::sync::Arc::clone(&is_over);
        senders.spawn(async move {
            let (mut acknowledged, mut unanswered) = (Vec::new(), 0);
            for number in 0.. {
                if is_over.load(std::sync::atomic::Ordering::Relaxed) {
                    break;
                }
                let number = number * 4 + sender;
                match send(port, &change(number).request).await {
                    Some((200, _)) => acknowledged.push(format!("g{number}")),
                    Some((status, body)) => panic!("{status} {body}"),
                    // Between an end and the next start nobody listens.
                    None => {
                        unanswered += 1;
                        sleep(Duration::from_millis(2)).await;
                    }
                }
            }
            (acknowledged, unanswered)
        });
    }
    let mut longest = Duration::ZERO;
    for sigterm in 0..SIGTERMS {
        let server = Server::start(&settings).await;
        sleep(Duration::from_micros((sigterm * 7_919 % 200_000) as u64)).await;
        let start = Instant::now();
        server.end().await;
        longest = longest.max(start.elapsed());
    }
    is_over.store(true, std::sync::atomic::Ordering::Relaxed);
    let (mut acknowledged, mut unanswered) = (Vec::new(), 0);
    for (own, own_unanswered) in senders.join_all().await {
        acknowledged.extend(own);
        unanswered += own_unanswered;
    }
    let groups = by_group(&table);
    let lost = acknowledged.iter().filter(|group| !groups.contains_key(*group)).count();
    let doubled = groups.values().filter(|records| **records > 1).count();
    println!(
        "SIGTERMs: {SIGTERMS} under load; {} callbacks acknowledged, {lost} of them lost, {doubled} doubled; {unanswered} not \
         answered, {} records; the longest end {longest:.1?}",
        acknowledged.len(),
        groups.len()
    );
    assert_eq!((lost, doubled), (0, 0));
    assert!(acknowledged.len() > 10 * SIGTERMS, "that was no load");
}

/// A fifth each says nothing, stops in the request line, in the head, before the body and in the body; all come again when they
/// are ended.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "make chaos"]
async fn a_thousand_slow_connections() {
    let table = Table::start().await;
    let server = Server::start(&table.settings(&[])).await;
    let port = server.port;
    figures("Server, 100 a second for 10 s", &send_at_rate(port, 100, 10, change).await);
    let mut slow = JoinSet::new();
    for number in 0..SLOW {
        let request = change(number).request;
        let head = request.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap();
        let sent = request[..[0, 10, head, head + 4, request.len() - 1][number % 5]].to_vec();
        slow.spawn(async move {
            loop {
                let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else { continue };
                let _ = stream.write_all(&sent).await;
                let _ = stream.read_to_end(&mut Vec::new()).await;
            }
        });
    }
    sleep(Duration::from_secs(1)).await;
    let beside = |number: usize| change(1_000_000 + number);
    figures(&format!("  beside {SLOW} slow connections"), &send_at_rate(port, 100, 20, beside).await);
    slow.shutdown().await;
    server.end().await;
    assert_eq!(table.records().len(), 3_000);
}

/// DynamoDB hangs, and more callbacks come at once than the server handles: whatever is not acknowledged is in the log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "make chaos"]
async fn more_at_once_than_it_handles() {
    const CALLBACKS: usize = 4_000;
    let nothing = (Fault::Hang, 0);
    let world = World::start(nothing, nothing).await;
    let server = Server::start(&world.settings()).await;
    support::send(server.port, &support::change(OPENIM).http()).await.unwrap();
    world.to_ledger.arm(ALWAYS);
    let mut sent = JoinSet::new();
    let mut ticks = interval(Duration::from_micros(100));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for number in 0..CALLBACKS {
        ticks.tick().await;
        let (port, request) = (server.port, change(2 * number + 1).request);
        sent.spawn(async move { send(port, &request).await.map(|(status, _)| status) });
    }
    let statuses = timeout(TEST_TIMEOUT, sent.join_all()).await.unwrap();
    let log = server.end().await;
    let count = |status: u16| statuses.iter().filter(|answered| **answered == Some(status)).count();
    let (acknowledged, rejected) = (count(200), count(503));
    let queued = world.replay().await;
    let recovered = cli::run(&world.table.settings(&[]), &["recover"], &log).await.succeeded();
    println!(
        "Flood: {CALLBACKS} at once; {acknowledged} acknowledged, {rejected} rejected; {queued} replayed; {recovered}"
    );
    assert_eq!(acknowledged + rejected, CALLBACKS);
    assert!(rejected > 0, "it handled them all");
    // One was there before.
    assert_eq!(world.table.records().len(), CALLBACKS + 1);
}
