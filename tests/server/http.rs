//! Whatever comes over a connection is answered or the connection is closed; a panic is neither, and nobody keeps another one
//! from an answer.

use std::net::Ipv4Addr;
use std::process::Stdio;

use http_body_util::Full;
use hyper::Response;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::{
    Duration, OPENIM, PLATFORMS, Sent, Server, TENCENT_CHAT, TEST_TIMEOUT, Table, assert_continues,
    assert_takes_callbacks, change, command, get, post, serve, sleep, timeout,
};

/// Sends parts, with a pause after each, and reads until the server closes the connection.
async fn converse(port: u16, parts: &[&[u8]]) -> String {
    let conversation = async {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
        let (mut reading, mut writing) = stream.split();
        let write = async {
            for part in parts {
                // The server may have closed it.
                if writing.write_all(part).await.is_err() {
                    break;
                }
                sleep(Duration::from_millis(5)).await;
            }
        };
        let mut answer = Vec::new();
        // A reset is an end too.
        let (_, ()) = tokio::join!(reading.read_to_end(&mut answer), write);
        String::from_utf8_lossy(&answer).into_owned()
    };
    timeout(TEST_TIMEOUT, conversation).await.unwrap_or_else(|_| panic!("neither answered nor closed: {parts:?}"))
}

fn statuses(answer: &str) -> Vec<u16> {
    answer.split("HTTP/1.1 ").skip(1).map(|rest| rest.split(' ').next().unwrap().parse().unwrap()).collect()
}

fn closing(request: &[u8]) -> Vec<u8> {
    String::from_utf8_lossy(request).replacen("\r\n", "\r\nConnection: close\r\n", 1).into_bytes()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_proper_http_is_answered_or_closed() {
    let table = Table::start().await;
    let server = Server::start(&table.settings(&[])).await;
    let good = String::from_utf8(closing(&change(OPENIM).http())).unwrap();
    let (head, body) = good.split_once("\r\n\r\n").unwrap();
    let with = |header: &str| format!("{head}\r\n{header}\r\n\r\n{body}").into_bytes();
    let other_length =
        |length: &str| good.replace(&format!("Content-Length: {}", body.len()), &format!("Content-Length: {length}"));
    let chunked = |chunks: &str| {
        let length = format!("Content-Length: {}\r\n", body.len());
        format!("{}\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}", head.replace(&length, "")).into_bytes()
    };
    let as_chunks = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    // What is sent, the status (0: closed without one), and how many records it makes.
    let rows: Vec<(&str, Vec<u8>, u16, usize)> = vec![
        ("nothing but an end of line", b"\r\n\r\n\r\n".into(), 0, 0),
        ("no HTTP", b"hello\r\n\r\n".into(), 400, 0),
        ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".into(), 400, 0),
        ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(), 0, 0),
        ("HTTP/0.9", b"GET /tencent-chat\r\n\r\n".into(), 400, 0),
        ("HTTP/3.7", b"POST /openim HTTP/3.7\r\n\r\n".into(), 400, 0),
        ("an asterisk", b"OPTIONS * HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".into(), 404, 0),
        ("CONNECT", b"CONNECT h:443 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".into(), 404, 0),
        ("a whole URL", good.replacen(" /", " http://h/", 1).into_bytes(), 200, 1),
        ("HTTP/1.0", good.replacen("HTTP/1.1", "HTTP/1.0", 1).into_bytes(), 200, 1),
        ("no Host", good.replacen("Host: h\r\n", "", 1).into_bytes(), 200, 1),
        ("only line feeds", good.replace("\r\n", "\n").into_bytes(), 200, 1),
        ("a NUL in a header", with("X: \0"), 400, 0),
        ("a header without a name", with(": x"), 400, 0),
        ("a folded header", with("X: a\r\n b"), 400, 0),
        ("bytes that are no text", with("X: \u{7fa4}\u{e9}"), 200, 1),
        ("8 KB of headers", with(&format!("X: {}", "x".repeat(8 * 1024))), 200, 1),
        ("64 KB of headers", with(&format!("X: {}", "x".repeat(64 * 1024))), 431, 0),
        ("100 headers", with(&vec!["X: x"; 100].join("\r\n")), 200, 1),
        ("1,000 headers", with(&vec!["X: x"; 1_000].join("\r\n")), 431, 0),
        (
            "a path of 8 KB",
            good.replacen(" /openim", &format!(" /openim/{}", "x".repeat(8_192)), 1).into_bytes(),
            200,
            1,
        ),
        (
            "a long method",
            format!("{} / HTTP/1.1\r\nConnection: close\r\n\r\n", "M".repeat(4_096)).into_bytes(),
            404,
            0,
        ),
        ("a length that is none", other_length("x").into_bytes(), 400, 0),
        ("a negative length", other_length("-1").into_bytes(), 400, 0),
        ("a huge length", other_length("99999999999999999999999").into_bytes(), 400, 0),
        ("two lengths", with("Content-Length: 1"), 400, 0),
        ("the same length twice", with(&format!("Content-Length: {}", body.len())), 200, 1),
        // The chunks count, and there are none.
        ("a length and chunks", with("Transfer-Encoding: chunked"), 408, 0),
        ("chunks", chunked(&as_chunks), 200, 1),
        ("chunks with a trailer", chunked(&as_chunks.replace("0\r\n\r\n", "0\r\nX: x\r\n\r\n")), 200, 1),
        ("a chunk that is too short", chunked(&format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len() - 1)), 408, 0),
        ("a chunk without a size", chunked("zz\r\n\r\n"), 408, 0),
        ("a huge chunk", chunked("ffffffffffffffff\r\nx"), 408, 0),
        ("an unknown encoding", with("Transfer-Encoding: x"), 400, 0),
        ("what it may expect", with("Expect: 100-continue"), 200, 1),
        ("what nobody expects", with("Expect: x"), 200, 1),
        ("an upgrade", with("Connection: upgrade\r\nUpgrade: h2c"), 200, 1),
    ];
    for (what, request, status, recorded) in rows {
        table.clear();
        let answer = converse(server.port, &[&request]).await;
        let statuses = statuses(&answer.replace("HTTP/1.1 100 Continue\r\n\r\n", "").replace("HTTP/1.0", "HTTP/1.1"));
        assert_eq!(statuses.first().copied().unwrap_or_default(), status, "{what}: {answer}");
        assert_eq!(table.records().len(), recorded, "{what}: {answer}");
    }
    assert_takes_callbacks(&server, "afterwards").await;
    server.end().await;
}

/// A request that comes byte by byte, and several that come at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_may_come_in_pieces_and_several_at_once() {
    let table = Table::start().await;
    let server = Server::start(&table.settings(&[])).await;
    let last = closing(&change(OPENIM).http());
    let bytes: Vec<&[u8]> = last.chunks(1).collect();
    assert_eq!(statuses(&converse(server.port, &bytes).await), [200]);
    assert_eq!(table.records().len(), 1);
    let ten = [change(OPENIM).http().repeat(9), last].concat();
    assert_eq!(statuses(&converse(server.port, &[&ten]).await), [200; 10]);
    let (beginning, rest) = ten.split_at(ten.len() / 3);
    assert_eq!(statuses(&converse(server.port, &[beginning, rest]).await), [200; 10]);
    assert_eq!(table.records().len(), 21);
    server.end().await;
}

/// Some stop in the request line, some in the head, some in the body.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_senders_are_ended_and_keep_nobody_waiting() {
    let table = Table::start().await;
    let server = Server::start(&table.settings(&[])).await;
    let request = change(TENCENT_CHAT).http();
    let head = request.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap();
    let mut slow = JoinSet::new();
    for number in 0..100 {
        let sent = request[..[1, 10, head, head + 4, request.len() - 1][number % 5]].to_vec();
        let port = server.port;
        slow.spawn(async move { (sent.len(), converse(port, &[&sent]).await) });
    }
    // While they are waited for.
    for _ in 0..10 {
        assert_takes_callbacks(&server, "beside slow senders").await;
    }
    while let Some(ended) = slow.join_next().await {
        let (sent, answer) = ended.unwrap();
        // Who has sent its head is told.
        assert_eq!(statuses(&answer).first().copied(), (sent > head).then_some(408), "{sent} bytes: {answer}");
    }
    server.end().await;
}

/// `OpenIM` keeps its connections without an end, and does not send again what it sent into one that is being closed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_connection_stays_open() {
    let table = Table::start().await;
    let server = Server::start(&table.settings(&[])).await;
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, server.port)).await.unwrap();
    for _ in 0..2 {
        // Longer than a head may take.
        let ended = timeout(Duration::from_secs(6), async {
            let mut rest = [0; 1_024];
            while stream.read(&mut rest).await.unwrap() > 0 {}
        });
        assert!(ended.await.is_err(), "the idle connection was closed");
        assert_is_answered(&mut stream).await;
    }
    server.end().await;
}

/// Sends a good callback over a connection, which must be answered as success.
async fn assert_is_answered(stream: &mut TcpStream) {
    stream.write_all(&change(OPENIM).http()).await.unwrap();
    let mut answer = [0; 12];
    timeout(TEST_TIMEOUT, stream.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
}

/// With 64 open files there is room for 32 connections.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_there_is_no_room_the_longest_idle_connection_is_closed() {
    let table = Table::start().await;
    let settings = table.settings(&[]);
    let mut few_files = command(&settings);
    let program = few_files.as_std().get_program().to_owned();
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "ulimit -n 64 && exec \"$0\""]).arg(program);
    let own = few_files.as_std_mut();
    shell.env_clear().envs(own.get_envs().filter_map(|(name, value)| Some((name, value?))));
    *own = shell;
    few_files.stdout(Stdio::piped());
    let server = Server::of(few_files).await;
    assert!(server.logged("listening").await.contains(r#""connections":32"#), "{}", server.log());
    let mut open = Vec::new();
    for _ in 0..34 {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, server.port)).await.unwrap();
        assert_is_answered(&mut stream).await;
        open.push(stream);
    }
    for stream in &mut open[..2] {
        timeout(TEST_TIMEOUT, stream.read_to_end(&mut Vec::new())).await.expect("it is still open").unwrap();
    }
    for stream in &mut open[2..] {
        // What is left of the first answer.
        while stream.try_read(&mut [0; 1_024]).is_ok_and(|length| length > 0) {}
        assert_is_answered(stream).await;
    }
    server.end().await;
}

/// Requests whose head does not prove them genuine have a room of their own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bodies_of_unknown_callers_do_not_take_the_room_of_genuine_ones() {
    let table = Table::start().await;
    let settings = [(OPENIM.secrets, "user:hunter2")];
    let server = Server::start(&table.settings(&settings)).await;
    // Together more than there is room for.
    let mut strangers = Vec::new();
    for _ in 0..90 {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, server.port)).await.unwrap();
        let head = b"POST /openim HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1000000\r\n\r\n";
        stream.write_all(head).await.unwrap();
        strangers.push(stream);
    }
    for stream in &mut strangers {
        assert_continues(stream).await;
        stream.write_all(" ".repeat(50_000).as_bytes()).await.unwrap();
    }
    let large = format!(r#"{{"groupID":"g1","groupName":"{}"}}"#, "n".repeat(500_000));
    let path = "/openim/callbackAfterSetGroupInfoExCommand";
    let genuine = Sent::post(path, "", large).signed(OPENIM, &settings);
    assert_eq!(crate::support::send(server.port, &genuine.http()).await.unwrap().0, 200);
    for stream in &strangers {
        let answer = stream.try_read(&mut [0; 1]);
        assert!(answer.is_err(), "strangers were answered before: they may have been in the way");
    }
    drop(strangers);
    server.end().await;
}

/// `OpenIM`'s hooks get their fields back, whoever sends them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_answer_that_is_not_read_keeps_its_room() {
    let table = Table::start().await;
    let server = Server::start(&table.settings(&[(OPENIM.secrets, "user:hunter2")])).await;
    let hook = format!(r#"{{"groupID":"g1","groupName":"{}"}}"#, "n".repeat(6_000_000));
    let hook = Sent::post("/openim/callbackBeforeSetGroupInfoExCommand", "", hook).http();
    let mut strangers = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, server.port)).await.unwrap();
        stream.write_all(&hook).await.unwrap();
        timeout(TEST_TIMEOUT, stream.readable()).await.unwrap().unwrap();
        strangers.push(stream);
    }
    let third = TcpStream::connect((Ipv4Addr::LOCALHOST, server.port)).await.unwrap();
    let (mut answers, mut request) = third.into_split();
    // It is not read while there is no room for it.
    let sending = tokio::spawn(async move { request.write_all(&hook).await.map(|()| request) });
    assert!(timeout(Duration::from_secs(1), answers.readable()).await.is_err(), "there is room for three answers");
    drop(strangers);
    let mut answer = [0; 12];
    timeout(TEST_TIMEOUT, answers.read_exact(&mut answer)).await.unwrap().unwrap();
    // Its group name is repeated all the same.
    assert_eq!(&answer, b"HTTP/1.1 413");
    drop((answers, sending.await.unwrap().unwrap()));
    server.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_body_that_finds_no_room_is_not_its_senders_fault() {
    let table = Table::start().await;
    // Anybody is genuine here.
    let server = Server::start(&table.settings(&[])).await;
    let mut streams = Vec::new();
    // Together more than there is room for, and one whose time ends before theirs.
    for _ in 0..90 {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, server.port)).await.unwrap();
        let head = b"POST /openim HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1000000\r\n\r\n";
        stream.write_all(head).await.unwrap();
        assert_continues(&mut stream).await;
        streams.push(stream);
    }
    for stream in streams.iter_mut().rev() {
        stream.write_all(" ".repeat(50_000).as_bytes()).await.unwrap();
        sleep(Duration::from_millis(2)).await;
    }
    let mut answer = [0; 12];
    timeout(TEST_TIMEOUT, streams[0].read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(&answer, b"HTTP/1.1 503");
    drop(streams);
    let log = server.end().await;
    assert!(log.contains("too many large callbacks at a time") && log.contains("50302"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_connections_are_served_at_once() {
    let table = Table::start().await;
    // The embedded DynamoDB does not write 300 records in time on a busy machine.
    let dynamodb = serve(Duration::ZERO, || Response::new(Full::from("{}"))).await;
    let settings = [("METRICS_PORT", "0"), ("AWS_ENDPOINT_URL_DYNAMODB", &dynamodb)];
    let server = Server::start(&table.settings(&settings)).await;
    let metrics = server.port_of("metrics").await;
    let mut open = Vec::new();
    for number in 0..300 {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, server.port)).await.unwrap();
        stream.write_all(&change(PLATFORMS[number % PLATFORMS.len()]).http()).await.unwrap();
        open.push(stream);
    }
    for stream in &mut open {
        let mut answer = [0; 12];
        timeout(TEST_TIMEOUT, stream.read_exact(&mut answer)).await.unwrap().unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
    }
    let text = crate::support::send(metrics, &get("/metrics")).await.unwrap().1;
    assert!(text.contains("\ngroup_ledger_connections 300\n"), "{text}");
    server.end().await;
}

/// The sender may close its side of the connection before its request is read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_counts_whose_sender_has_closed_its_side() {
    let table = Table::start().await;
    let server = Server::start(&table.settings(&[])).await;
    for number in 1..=20 {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, server.port)).await.unwrap();
        stream.write_all(&change(OPENIM).http()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = String::new();
        timeout(TEST_TIMEOUT, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
        assert_eq!(statuses(&answer), [200], "{number}: {answer}");
        assert_eq!(table.records().len(), number);
    }
    server.end().await;
}

/// The largest body that is decoded, one that is read and rejected, and one that is not even kept.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_is_taken_up_to_its_limit() {
    let table = Table::start().await;
    let server = Server::start(&table.settings(&[])).await;
    for (bytes, status) in [(1_000_000, 200), (2_000_000, 413), (20_000_000, 413)] {
        let body = format!(
            r#"{{"callbackCommand":"callbackAfterSetGroupInfoExCommand","groupID":"g1","groupName":"{}"}}"#,
            "n".repeat(bytes)
        );
        let (answered, text) = crate::support::send(server.port, &post("/openim", &body)).await.unwrap();
        assert_eq!(answered, status, "{bytes} bytes: {text}");
        // OpenIM takes the fields of any JSON for those of a hook's answer, and these are not known of the largest.
        assert_eq!(text.contains("actionCode"), bytes < 20_000_000, "{bytes} bytes: {text}");
    }
    let log = server.end().await;
    let lines: Vec<Value> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    assert!(lines.iter().any(|line| line["code"] == 41301 && line["outcome"] == "rejected_known_caller"), "{log}");
    assert!(lines.iter().all(|line| line["request_id"] != ""), "{log}");
}
