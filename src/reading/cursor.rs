//! Cursors: where a list goes on. A cursor contains a hash of its route and filters, so that another list rejects it. It is not
//! signed: it grants no access.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

/// How many bytes of the hash a cursor has.
const HASH_BYTES: usize = 8;
/// The longest cursor: a sort key and its base64.
const MAX_CURSOR_BYTES: usize = 4 * 1024;

/// What a cursor is of: a route, and the parameters that say which items it lists.
#[derive(Clone, Debug)]
pub struct Binding([u8; HASH_BYTES]);

impl Binding {
    /// The binding of a route with these parameters.
    #[must_use]
    pub fn new<'p>(route: &'p str, parameters: impl IntoIterator<Item = &'p str>) -> Self {
        let mut sha256 = Sha256::new();
        for part in [route].into_iter().chain(parameters) {
            sha256.update((part.len() as u64).to_be_bytes());
            sha256.update(part);
        }
        let mut hash = [0; HASH_BYTES];
        hash.iter_mut().zip(sha256.finalize()).for_each(|(byte, digest)| *byte = digest);
        Self(hash)
    }

    /// The cursor of a position.
    #[must_use]
    pub fn cursor(&self, position: &str) -> String {
        BASE64_URL_SAFE_NO_PAD.encode([&self.0, position.as_bytes()].concat())
    }

    /// The position of a cursor; `None` where it is none, or another list's.
    #[must_use]
    pub fn position(&self, cursor: &str) -> Option<String> {
        if cursor.len() > MAX_CURSOR_BYTES {
            return None;
        }
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let position = bytes.strip_prefix(&self.0)?;
        String::from_utf8(position.to_vec()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::Binding;

    #[test]
    fn a_cursor_is_of_its_own_list() {
        let binding = Binding::new("history", ["openim#openim#g1", "desc"]);
        for position in ["", "2022-12-09T08:26:54.123Z#5a8c2b3ff94d6d26", "群"] {
            assert_eq!(binding.position(&binding.cursor(position)).as_deref(), Some(position));
        }
        let cursor = binding.cursor("position");
        for (route, parameters) in [
            ("feed", ["openim#openim#g1", "desc"]),
            ("history", ["openim#openim#g1d", "esc"]),
            ("history", ["openim#openim#g2", "desc"]),
        ] {
            assert_eq!(Binding::new(route, parameters).position(&cursor), None, "{route} {parameters:?}");
        }
        let long = "A".repeat(5_000);
        for no_cursor in ["", "x", "%", "AAAA", cursor.get(1..).unwrap(), &format!("{cursor}="), &long] {
            assert_eq!(binding.position(no_cursor), None, "{no_cursor}");
        }
    }
}
