//! The server as it is packaged, in containers: the image of the `Dockerfile` under the restrictions of `deploy/compose.yaml`, and
//! the package of the SCF web function as SCF starts it. `make verify-sam` runs it.

#![allow(clippy::print_stdout, reason = "progress of what takes a minute")]

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use group_ledger::platform::PLATFORMS;
use serde_norway::Value;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::{sleep, timeout};

use crate::scf;
use crate::support::{TEST_TIMEOUT, Table, change, local_settings, post, send};

/// Where SCF unpacks a package.
const CODE: &str = "/var/user";

/// Docker's options for what `deploy/compose.yaml` takes away from a container, and for the time that it gives it to end.
fn restrictions() -> Vec<String> {
    let compose: Value = serde_norway::from_str(&fs::read_to_string("deploy/compose.yaml").unwrap()).unwrap();
    let service = &compose["services"]["group-ledger"];
    let texts = |name: &str| {
        let texts = service[name].as_sequence().unwrap_or_else(|| panic!("deploy/compose.yaml has no {name}"));
        texts.iter().map(|text| text.as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(service["read_only"], Value::Bool(true));
    assert_eq!((texts("tmpfs"), texts("cap_drop")), (vec!["/tmp".to_owned()], vec!["ALL".to_owned()]));
    assert_eq!(texts("security_opt"), ["no-new-privileges:true"]);
    let grace = service["stop_grace_period"].as_str().unwrap().strip_suffix('s').unwrap();
    let mut options = vec!["--read-only".to_owned(), format!("--stop-timeout={grace}")];
    for (option, name) in [("--tmpfs", "tmpfs"), ("--cap-drop", "cap_drop"), ("--security-opt", "security_opt")] {
        options.extend(texts(name).iter().map(|text| format!("{option}={text}")));
    }
    options
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run make verify-sam"))
}

/// What a command of Docker's prints.
async fn docker(arguments: &[&str]) -> String {
    let output = timeout(TEST_TIMEOUT, Command::new("docker").args(arguments).output()).await.unwrap().unwrap();
    assert!(output.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The settings of a server of all platforms, with `table` as a container reaches it.
fn settings(table: &Table) -> BTreeMap<String, String> {
    let port = table.endpoint.rsplit(':').next().unwrap();
    local_settings(&format!("http://host.docker.internal:{port}"))
}

/// A container, which ends with the test.
struct Container {
    id: String,
    port: u16,
}

impl Container {
    /// Runs an image with `options`, and with `command` in it, its port 9000 on one of this machine.
    async fn run(image: &str, options: &[&str], command: &[&str]) -> Self {
        let run =
            ["run", "--detach", "--publish", "127.0.0.1::9000", "--add-host", "host.docker.internal:host-gateway"];
        let restrictions = restrictions();
        let restrictions: Vec<&str> = restrictions.iter().map(String::as_str).collect();
        let id = docker(&[&run, &restrictions[..], options, &[image], command].concat()).await;
        let address = docker(&["port", &id, "9000/tcp"]).await;
        let port = address.lines().next().unwrap().rsplit(':').next().unwrap().parse().unwrap();
        Self { id, port }
    }

    async fn inspect(&self, what: &str) -> String {
        docker(&["inspect", "--format", what, &self.id]).await
    }

    async fn log(&self) -> String {
        let output = Command::new("docker").args(["logs", &self.id]).output().await.unwrap();
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    }

    /// The status of an answer to a GET, or `None` where there is none.
    async fn get(&self, path: &str) -> Option<u16> {
        Some(send(self.port, format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes()).await?.0)
    }

    /// Waits until it is ready.
    async fn ready(&self) {
        let start = Instant::now();
        while self.get("/readyz").await != Some(200) {
            assert!(start.elapsed() < TEST_TIMEOUT, "it is not ready: {}", self.log().await);
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Sends a change of each platform, and sees that `table` has it.
    async fn records_changes(&self, table: &Table) {
        for platform in PLATFORMS {
            let sent = change(platform);
            let body = String::from_utf8(sent.body).unwrap();
            let answer = send(self.port, &post(&format!("{}?{}", sent.path, sent.query), &body)).await;
            let (status, answer) = answer.unwrap();
            assert_eq!(status, 200, "{}: {answer}: {}", platform.name, self.log().await);
        }
        let records = table.records();
        let recorded: Vec<_> = records.iter().map(|record| record["platform"].as_str().unwrap()).collect();
        let mut expected = PLATFORMS.map(|platform| platform.name);
        expected.sort_unstable();
        assert_eq!(recorded, expected, "{}", self.log().await);
    }

    /// Stops it as Docker does; the exit code, and how long that took.
    async fn stop(&self) -> (String, Duration) {
        let start = Instant::now();
        docker(&["stop", &self.id]).await;
        (self.inspect("{{.State.ExitCode}}").await, start.elapsed())
    }

    /// The resident memory of its process, as the kernel prints it.
    async fn memory(&self) -> String {
        let process = self.inspect("{{.State.Pid}}").await;
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
        let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        memory.map_or_else(|| "unknown".to_owned(), |memory| memory.trim().to_owned())
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = std::process::Command::new("docker").args(["rm", "--force", &self.id]).output();
    }
}

#[tokio::test]
#[ignore = "needs Docker: make verify-sam"]
async fn the_image_records_callbacks_without_privileges_and_ends_in_order() {
    let table = Table::start_at("0.0.0.0").await;
    let settings = settings(&table);
    let settings: Vec<String> = settings.iter().map(|(name, value)| format!("--env={name}={value}")).collect();
    // Docker asks every 10 s, for which nobody waits here.
    let options: Vec<&str> = settings.iter().map(String::as_str).chain(["--health-interval", "1s"]).collect();
    let container = Container::run(&variable("SERVER_IMAGE"), &options, &[]).await;
    container.ready().await;
    let start = Instant::now();
    while container.inspect("{{.State.Health.Status}}").await != "healthy" {
        assert!(start.elapsed() < TEST_TIMEOUT, "it does not become healthy: {}", container.log().await);
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(container.inspect("{{.Config.User}} {{.Config.StopSignal}}").await, "65532:65532 SIGTERM");
    container.records_changes(&table).await;
    let memory = container.memory().await;
    let (code, stopped) = container.stop().await;
    assert_eq!(code, "0", "{}", container.log().await);
    // A container that is killed has another exit code; this one has nothing to wait for.
    assert!(stopped < Duration::from_secs(8), "{stopped:?}: {}", container.log().await);
    println!("  image: {memory} resident, stopped after {stopped:?}");
}

/// Alive is not what a server is that does not answer.
#[tokio::test]
#[ignore = "needs Docker: make verify-sam"]
async fn the_image_is_unhealthy_where_nothing_listens() {
    let image = variable("SERVER_IMAGE");
    let check = ["run", "--rm", "--entrypoint", "/usr/local/bin/server", &image, "--health-check"];
    let output = Command::new("docker").args(check).output().await.unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
#[ignore = "needs Docker: make verify-sam"]
async fn the_scf_package_records_callbacks_as_scf_starts_it() {
    let Some(image) = std::env::var("SCF_IMAGE").ok().filter(|image| !image.is_empty()) else {
        println!("  SCF runs on x86_64: its package is not started here");
        return;
    };
    let table = Table::start_at("0.0.0.0").await;
    let folder = TempDir::new().unwrap();
    let code = folder.path().join("code");
    scf::unpack(&code);
    // Whoever SCF runs it as.
    fs::set_permissions(&code, Permissions::from_mode(0o755)).unwrap();
    let volume = format!("{}:{CODE}:ro", code.display());
    let options = ["--volume", &volume, "--user", "10002:10002"];
    // Its environment and nothing more: not even a PATH. A port that SCF does not forward to must not count.
    let mut settings = settings(&table);
    settings.insert("PORT".to_owned(), "8080".to_owned());
    let settings: Vec<String> = settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let bootstrap = format!("{CODE}/scf_bootstrap");
    let mut command = vec!["env", "-i"];
    command.extend(settings.iter().map(String::as_str).chain([bootstrap.as_str()]));
    let container = Container::run(&image, &options, &command).await;
    container.ready().await;
    container.records_changes(&table).await;
    let memory = container.memory().await;
    let (code, stopped) = container.stop().await;
    assert_eq!(code, "0", "SCF's signal does not reach the server: {}", container.log().await);
    println!("  scf: {memory} resident, stopped after {stopped:?}");
}
