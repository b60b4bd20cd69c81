//! How it ends: what is under way is answered, and nothing that was acknowledged is lost. A sender that disconnects takes nothing along.

use std::net::Ipv4Addr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Duration, OPENIM, Server, TEST_TIMEOUT, Table, assert_continues, change, get, sleep, timeout};
use crate::reliability::{ALWAYS, World};
use crate::support::fault::Fault;
use crate::support::{Sent, send};

const FINE: (Fault, usize) = (Fault::Hang, 0);

/// A change of a group of its own.
fn change_of(number: usize) -> Sent {
    let mut sent = change(OPENIM);
    sent.body = String::from_utf8(sent.body).unwrap().replace("g1", &format!("g{number}")).into_bytes();
    sent
}

/// DynamoDB does not answer, so that they are under way at the signal; then the fallback queue takes them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_under_way_is_answered() {
    let world = World::start((Fault::Hang, 0), FINE).await;
    let server = Server::start(&world.settings()).await;
    // Its warm-up write is done.
    assert_eq!(send(server.port, &get("/readyz")).await.unwrap().0, 200);
    let asked = world.to_ledger.requests();
    world.to_ledger.arm(ALWAYS);
    let mut open = Vec::new();
    for number in 0..20 {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, server.port)).await.unwrap();
        let request = change_of(number).header("Expect", "100-continue").http();
        let head = request.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap() + 4;
        stream.write_all(&request[..head]).await.unwrap();
        assert_continues(&mut stream).await;
        open.push((stream, request[head..].to_vec()));
    }
    for (stream, body) in &mut open {
        stream.write_all(body).await.unwrap();
    }
    let idle = TcpStream::connect((Ipv4Addr::LOCALHOST, server.port)).await.unwrap();
    let under_way = async {
        while world.to_ledger.requests() == asked {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(TEST_TIMEOUT, under_way).await.unwrap();
    let port = server.port;
    server.signal("-TERM").await;
    let refused = async { while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_ok() {} };
    timeout(TEST_TIMEOUT, refused).await.expect("it still listens");
    let mut told = 0;
    for (stream, _) in &mut open {
        let mut answer = String::new();
        timeout(TEST_TIMEOUT, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        told += usize::from(answer.contains("connection: close"));
    }
    assert!(told > 0, "no answer says that the connection ends");
    let (code, log) = server.ended().await;
    drop(idle);
    assert_eq!(code, Some(0), "{log}");
    assert!(!log.contains("shutdown timed out"), "{log}");
    assert!(log.contains(r#""signal":"SIGTERM""#), "{log}");
    assert_eq!(world.replay().await, 20);
    assert_eq!(world.table.records().len(), 20);
}

/// The second one is somebody who does not want to wait.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_ends_it_at_once() {
    let table = Table::start().await;
    let server = Server::start(&table.settings(&[])).await;
    // A request whose body does not come holds the end up.
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, server.port)).await.unwrap();
    stream.write_all(b"POST /openim HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n").await.unwrap();
    assert_continues(&mut stream).await;
    server.signal("-INT").await;
    server.logged(r#""signal":"SIGINT""#).await;
    server.signal("-INT").await;
    let (code, log) = server.ended().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("a second signal"), "{log}");
}

/// Its connection is gone before DynamoDB has answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sender_that_disconnects_takes_no_record_along() {
    let world = World::start((Fault::Hang, 0), FINE).await;
    let server = Server::start(&world.settings()).await;
    // Its warm-up write is done.
    assert_eq!(send(server.port, &get("/readyz")).await.unwrap().0, 200);
    let before = world.to_ledger.requests();
    // The first attempt gets no answer; the second one is made when the sender has disconnected.
    world.to_ledger.arm(1);
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, server.port)).await.unwrap();
    stream.write_all(&change(OPENIM).http()).await.unwrap();
    let asked = async {
        while world.to_ledger.requests() == before {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(TEST_TIMEOUT, asked).await.unwrap();
    drop(stream);
    server.logged(r#""outcome":"recorded""#).await;
    assert_eq!(world.table.records().len(), 1);
    server.end().await;
}
