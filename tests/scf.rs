//! The package of the SCF web function: what SCF asks of it, and that SCF's system can start it. `make scf` makes it, and
//! `make verify-sam` runs this.
//! <https://www.tencentcloud.com/document/product/583/40690>

#![allow(clippy::print_stdout, reason = "what the binary asks for is a figure to look at")]

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::cloudformation::PYTHON;
use crate::support::elf::Needs;

const PACKAGE: &str = "target/scf/group-ledger.zip";

/// The C library of the system on which SCF runs.
const GLIBC: [u32; 2] = [2, 17];

/// What such a system has of a program's libraries.
const LIBRARIES: [&str; 6] =
    ["ld-linux-x86-64.so.2", "libc.so.6", "libdl.so.2", "libm.so.6", "libpthread.so.0", "librt.so.1"];

/// Unpacks the package, as SCF does; what is in it.
pub(crate) fn unpack(folder: &Path) -> Value {
    assert!(Path::new(PACKAGE).exists(), "{PACKAGE} is missing: make scf");
    let unpack = ["tests/scf/unpack.py".as_ref(), PACKAGE.as_ref(), folder.as_os_str()];
    let output = Command::new(PYTHON).args(unpack).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
#[ignore = "needs the package: make verify-sam"]
fn the_package_is_what_scf_starts() {
    let folder = TempDir::new().unwrap();
    let time = [1980, 1, 1, 0, 0, 0];
    assert_eq!(
        unpack(folder.path()),
        json!([
            { "name": "scf_bootstrap", "mode": "100755", "time": time },
            { "name": "server", "mode": "100755", "time": time },
        ])
    );
    let bootstrap = fs::read_to_string(folder.path().join("scf_bootstrap")).unwrap();
    assert!(bootstrap.starts_with("#!/bin/bash\n") && bootstrap.ends_with('\n'), "{bootstrap}");
    assert!(!bootstrap.contains('\r'), "SCF starts no script with Windows line ends");
    assert!(bootstrap.contains("HOST=0.0.0.0 PORT=9000"), "SCF forwards requests to this port: {bootstrap}");
    assert!(bootstrap.lines().last().unwrap().starts_with("exec "), "SCF's signals go to the shell: {bootstrap}");
    assert!(fs::read(folder.path().join("server")).unwrap().starts_with(b"\x7fELF"));
}

#[test]
#[ignore = "needs the package: make verify-sam"]
fn the_same_server_makes_the_same_package() {
    let [folder, elsewhere] = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    unpack(folder.path());
    let again = elsewhere.path().join("again.zip");
    let status = Command::new(PYTHON).arg("deploy/scf/package.py").args([folder.path(), &again]).status().unwrap();
    assert!(status.success());
    assert!(fs::read(again).unwrap() == fs::read(PACKAGE).unwrap(), "the packages differ");
}

#[test]
#[ignore = "needs the package: make verify-sam"]
fn the_server_asks_for_nothing_that_scfs_system_does_not_have() {
    let folder = TempDir::new().unwrap();
    unpack(folder.path());
    let server = folder.path().join("server");
    let needs = Needs::of(&server);
    assert!(needs.libraries.iter().any(|library| library == "libc.so.6"), "{:?}", needs.libraries);
    assert!(needs.libraries.iter().all(|library| LIBRARIES.contains(&library.as_str())), "{:?}", needs.libraries);
    assert!(needs.glibc[..2] <= GLIBC[..], "the server asks for glibc {:?}", needs.glibc);
    println!("  needs {}, and glibc {:?} at most", needs.libraries.join(" "), needs.glibc);
}
