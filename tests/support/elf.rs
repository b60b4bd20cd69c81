//! What a built program asks of the system that starts it, as `objdump` reads it from the file.

use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

/// What a program needs.
pub(crate) struct Needs {
    pub(crate) libraries: Vec<String>,
    /// The newest version of glibc that a symbol asks for.
    pub(crate) glibc: Vec<u32>,
}

impl Needs {
    pub(crate) fn of(program: &Path) -> Self {
        let header = objdump("-p", program);
        let libraries = header.lines().filter_map(|line| line.trim().strip_prefix("NEEDED"));
        let libraries = libraries.map(|library| library.trim().to_owned()).collect();
        let symbols = objdump("-T", program);
        let versions = symbols.split("GLIBC_").skip(1).filter_map(|rest| rest.split([')', ' ', '\n']).next());
        let versions = versions.map(|version| version.split('.').map(|part| part.parse().unwrap()).collect());
        Self { libraries, glibc: versions.max().expect("the program asks for no version of glibc") }
    }
}

/// What `objdump` says about a file.
fn objdump(option: &str, file: &Path) -> String {
    let output = match Command::new("objdump").arg(option).arg(file).output() {
        Err(error) if error.kind() == ErrorKind::NotFound => panic!("objdump is missing: install binutils"),
        output => output.unwrap(),
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
