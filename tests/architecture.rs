//! Modules know only the modules below them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// A module, and what it may know of this crate.
const MODULES: [(&str, &[&str]); 10] = [
    ("panics", &[]),
    ("settings", &[]),
    ("domain", &[]),
    ("platform", &["domain", "settings"]),
    ("storage", &["domain", "panics", "settings"]),
    ("ingest", &["domain", "panics", "platform", "storage"]),
    ("reading", &["domain", "panics", "platform", "settings", "storage"]),
    ("publish", &["domain", "panics", "reading", "settings", "storage"]),
    ("host", &["domain", "ingest", "panics", "platform", "publish", "reading", "settings", "storage"]),
    ("cli", &["domain", "host", "ingest", "platform", "publish", "reading", "settings", "storage"]),
];

/// What the modules of a file or folder name of this crate: the word after `crate::`.
fn known(path: &Path) -> BTreeSet<String> {
    if path.is_dir() {
        return fs::read_dir(path).unwrap().flat_map(|entry| known(&entry.unwrap().path())).collect();
    }
    let code = fs::read_to_string(path).unwrap();
    let names =
        code.split("crate::").skip(1).map(|rest| rest.split(|char: char| !char.is_alphanumeric() && char != '_'));
    names.map(|mut names| names.next().unwrap().to_owned()).collect()
}

/// The files under a folder whose code has `text`.
fn files_with(text: &str, path: &Path) -> Vec<String> {
    if path.is_dir() {
        return fs::read_dir(path).unwrap().flat_map(|entry| files_with(text, &entry.unwrap().path())).collect();
    }
    let has_it = fs::read_to_string(path).is_ok_and(|code| code.contains(text));
    has_it.then(|| path.to_str().unwrap().to_owned()).into_iter().collect()
}

/// What it makes of a request is decoded and recorded.
#[test]
fn only_a_platforms_check_of_the_sender_vouches() {
    let files = ["src", "examples"].into_iter().flat_map(|folder| files_with("Verified::vouch", Path::new(folder)));
    let files: BTreeSet<String> = files.collect();
    for file in &files {
        let path = file.strip_suffix("/verify.rs");
        let is_a_check = path.is_some_and(|path| path.starts_with("src/platform/") || path.ends_with("/example_chat"));
        assert!(is_a_check, "{file} vouches for a request");
    }
    assert_eq!(files.len(), group_ledger::platform::PLATFORMS.len() + 1, "{files:?}");
}

#[test]
fn a_module_knows_only_the_modules_below_it() {
    let modules: BTreeMap<&str, &[&str]> = MODULES.into();
    let folders: BTreeSet<String> = fs::read_dir("src")
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .filter(|name| !["bin", "lib"].contains(&name.as_str()))
        .collect();
    assert!(modules.keys().copied().eq(folders.iter().map(String::as_str)), "each module of src/ has its line here");
    for (module, may_know) in modules {
        let path = Path::new("src").join(module);
        let path = if path.is_dir() { path } else { path.with_extension("rs") };
        for known in known(&path).iter().filter(|known| *known != module) {
            assert!(may_know.contains(&known.as_str()), "{module} knows {known}, which is not below it");
        }
    }
}
