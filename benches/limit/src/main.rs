//! The limit: reads an event, puts one signed item over a warm connection and answers, with blocking sockets and nothing
//! between them and the wire; what the floor takes more is what the SDK, the Runtime API's client and asynchronous
//! input and output cost. It has neither retries nor timeouts, and ends at every answer that is no success.

use std::env;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use ring::{digest, hmac};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::macros::format_description;

fn main() -> Result<()> {
    let mut dynamodb = Dynamodb::from_env()?;
    // Opens the connection before the first event, as the functions do.
    dynamodb.put("warm-up", "")?;
    let address = env::var("AWS_LAMBDA_RUNTIME_API")?;
    let mut runtime_api = Connection::new(connect(&address)?);
    loop {
        let next = format!("GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nhost: {address}\r\n\r\n");
        let (head, event) = runtime_api.exchange(next.as_bytes())?;
        let id = header(&head, "lambda-runtime-aws-request-id").context("no id")?.to_owned();
        let event: Value = serde_json::from_slice(&event)?;
        let request_id = event["requestContext"]["requestId"].as_str().unwrap_or_default();
        dynamodb.put(request_id, event["body"].as_str().unwrap_or_default())?;
        let answer = json!({ "statusCode": 200, "body": "{}" }).to_string();
        let response = format!(
            "POST /2018-06-01/runtime/invocation/{id}/response HTTP/1.1\r\nhost: {address}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{answer}",
            answer.len()
        );
        runtime_api.exchange(response.as_bytes())?;
    }
}

fn connect(address: &str) -> Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

trait Stream: Read + Write {}
impl<S: Read + Write> Stream for S {}

/// A connection over which one request follows another.
struct Connection {
    stream: Box<dyn Stream>,
    read: Vec<u8>,
}

impl Connection {
    fn new(stream: impl Stream + 'static) -> Self {
        Self { stream: Box::new(stream), read: vec![0; 2 << 20] }
    }

    /// Sends a request; the head and the body of the response.
    fn exchange(&mut self, request: &[u8]) -> Result<(String, Vec<u8>)> {
        self.stream.write_all(request)?;
        self.stream.flush()?;
        let mut length = 0;
        loop {
            length += self.read(length)?;
            let read = &self.read[..length];
            let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
            let head = str::from_utf8(&read[..end])?.to_owned();
            ensure!(head.starts_with("HTTP/1.1 2"), "no success: {head}");
            let body: usize = header(&head, "content-length").context("no length")?.parse()?;
            while length < end + 4 + body {
                length += self.read(length)?;
            }
            return Ok((head, self.read[end + 4..length].to_vec()));
        }
    }

    /// Reads more after so many bytes.
    fn read(&mut self, length: usize) -> Result<usize> {
        let more = self.stream.read(&mut self.read[length..])?;
        ensure!(more > 0, "the connection was closed");
        Ok(more)
    }
}

fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.lines().filter_map(|line| line.split_once(": ")).find(|header| header.0 == name).map(|header| header.1)
}

struct Dynamodb {
    connection: Connection,
    host: String,
    table: String,
    region: String,
    key_id: String,
    secret: String,
    token: String,
    /// The day, and the signing key of it.
    key: Option<(String, hmac::Key)>,
}

impl Dynamodb {
    fn from_env() -> Result<Self> {
        let endpoint = env::var("AWS_ENDPOINT_URL_DYNAMODB")?;
        let (scheme, host) = endpoint.split_once("://").context("no scheme")?;
        let stream = connect(host)?;
        let connection = if scheme == "https" {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
            let name = host.split(':').next().unwrap_or_default().to_owned();
            Connection::new(StreamOwned::new(
                ClientConnection::new(Arc::new(config), ServerName::try_from(name)?)?,
                stream,
            ))
        } else {
            Connection::new(stream)
        };
        Ok(Self {
            connection,
            host: host.to_owned(),
            table: env::var("TABLE_NAME")?,
            region: env::var("AWS_REGION")?,
            key_id: env::var("AWS_ACCESS_KEY_ID")?,
            secret: env::var("AWS_SECRET_ACCESS_KEY")?,
            token: env::var("AWS_SESSION_TOKEN")?,
            key: None,
        })
    }

    fn put(&mut self, id: &str, body: &str) -> Result<()> {
        let item = json!({ "group_key": { "S": id }, "change_key": { "S": id }, "raw": { "S": body } });
        let condition = "attribute_not_exists(group_key)";
        let put = json!({ "TableName": self.table, "Item": item, "ConditionExpression": condition }).to_string();
        let request = self.signed(&put)?;
        self.connection.exchange(request.as_bytes())?;
        Ok(())
    }

    /// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>
    fn signed(&mut self, body: &str) -> Result<String> {
        let time =
            OffsetDateTime::now_utc().format(format_description!("[year][month][day]T[hour][minute][second]Z"))?;
        let day = time[..8].to_owned();
        let headers = format!(
            "content-type:application/x-amz-json-1.0\nhost:{}\nx-amz-date:{time}\nx-amz-security-token:{}\n\
             x-amz-target:DynamoDB_20120810.PutItem\n",
            self.host, self.token
        );
        let names = "content-type;host;x-amz-date;x-amz-security-token;x-amz-target";
        let hashed = hex(digest::digest(&digest::SHA256, body.as_bytes()).as_ref());
        let canonical = format!("POST\n/\n\n{headers}\n{names}\n{hashed}");
        let scope = format!("{day}/{}/dynamodb/aws4_request", self.region);
        let canonical = hex(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref());
        let signature = hmac::sign(self.key(day), format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{canonical}").as_bytes());
        Ok(format!(
            "POST / HTTP/1.1\r\n{}authorization: AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, \
             Signature={}\r\ncontent-length: {}\r\n\r\n{body}",
            headers.replace('\n', "\r\n"),
            self.key_id,
            hex(signature.as_ref()),
            body.len()
        ))
    }

    fn key(&mut self, day: String) -> &hmac::Key {
        let key = self.key.take().filter(|key| key.0 == day).unwrap_or_else(|| {
            let secret = hmac::Key::new(hmac::HMAC_SHA256, format!("AWS4{}", self.secret).as_bytes());
            let key = [day.as_str(), &self.region, "dynamodb", "aws4_request"].into_iter().fold(secret, |key, part| {
                hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, part.as_bytes()).as_ref())
            });
            (day, key)
        });
        &self.key.insert(key).1
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
