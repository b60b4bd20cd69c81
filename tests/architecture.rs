//! Rooms know only the rooms below them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// A room, and what it may know of this crate.
const ROOMS: [(&str, &[&str]); 7] = [
    ("panics", &[]),
    ("settings", &[]),
    ("domain", &[]),
    ("platform", &["domain", "settings"]),
    ("storage", &["domain", "panics", "settings"]),
    ("ingest", &["domain", "panics", "platform", "storage"]),
    ("host", &["domain", "ingest", "panics", "platform", "settings", "storage"]),
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

#[test]
fn a_room_knows_only_the_rooms_below_it() {
    let rooms: BTreeMap<&str, &[&str]> = ROOMS.into();
    let folders: BTreeSet<String> = fs::read_dir("src")
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .filter(|name| !["bin", "lib"].contains(&name.as_str()))
        .collect();
    assert!(rooms.keys().copied().eq(folders.iter().map(String::as_str)), "each room of src/ has its line here");
    for (room, may_know) in rooms {
        let path = Path::new("src").join(room);
        let path = if path.is_dir() { path } else { path.with_extension("rs") };
        for known in known(&path).iter().filter(|known| *known != room) {
            assert!(may_know.contains(&known.as_str()), "{room} knows {known}, which is not below it");
        }
    }
}
