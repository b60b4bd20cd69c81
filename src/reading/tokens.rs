//! Who may read: bearer tokens, each with its reader's name.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use crate::settings::{SettingError, Settings};

const SETTING: &str = "READER_TOKENS";

/// The tokens that are live; several of one name while one is rotated.
pub struct Tokens(Vec<(String, SecretString)>);

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl Tokens {
    /// Reads `READER_TOKENS`: `name:token`, separated by commas.
    ///
    /// # Errors
    ///
    /// If it is missing, or one is not of this form.
    pub fn from_settings(settings: &Settings<'_>) -> Result<Self, SettingError> {
        let pairs = settings.secrets(SETTING)?;
        if pairs.is_empty() {
            return Err(SettingError::new(SETTING, "is not set: set it to name:token"));
        }
        let tokens = pairs.iter().map(|pair| {
            let (name, token) = pair.expose_secret().split_once(':')?;
            (is_name(name) && is_token(token)).then(|| (name.to_owned(), SecretString::from(token)))
        });
        let wrong = SettingError::new(
            SETTING,
            "must be name:token, several separated by commas: a name of 1 to 32 letters, digits, _ and -, and a token of 16 \
             to 256 letters, digits and ._~+/=-",
        );
        let tokens: Vec<(String, SecretString)> = tokens.collect::<Option<_>>().ok_or(wrong)?;
        let is_shared = |(name, token): &(String, SecretString)| {
            tokens.iter().any(|(other, its)| other != name && its.expose_secret() == token.expose_secret())
        };
        if tokens.iter().any(is_shared) {
            return Err(SettingError::new(SETTING, "has one token under two names: the log could not tell them apart"));
        }
        Ok(Self(tokens))
    }

    /// The name of the reader that an `Authorization` header presents a token of.
    #[must_use]
    pub fn reader(&self, authorization: Option<&[u8]>) -> Option<&str> {
        // An absent token is compared too, so that the time taken is the same.
        let presented = Sha256::digest(authorization.and_then(bearer).unwrap_or_default());
        let mut reader: Option<&str> = None;
        for (name, token) in &self.0 {
            // Digests, so that the time taken does not tell a token's length; every token, so that it does not tell which
            // matched.
            let is_it: Choice = Sha256::digest(token.expose_secret()).as_slice().ct_eq(&presented);
            if bool::from(is_it) {
                reader = Some(name);
            }
        }
        reader
    }
}

/// The token of an `Authorization` header (RFC 6750).
fn bearer(header: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = header.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then_some(token.trim_ascii())
}

fn is_name(name: &str) -> bool {
    (1..=32).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

fn is_token(token: &str) -> bool {
    (16..=256).contains(&token.len())
        && token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._~+/=-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::Tokens;
    use crate::settings::Settings;

    fn tokens(setting: &str) -> Result<Tokens, String> {
        let lookup = |_: &str| Some(setting.to_owned());
        Tokens::from_settings(&Settings::new(&lookup)).map_err(|error| error.to_string())
    }

    #[test]
    fn a_reader_is_known_by_any_of_its_tokens() {
        let tokens = tokens("audit:0123456789abcdef, audit:fedcba9876543210,page:~+/=-._~+/=-._AB").unwrap();
        for (authorization, reader) in [
            ("Bearer 0123456789abcdef", Some("audit")),
            ("bearer  fedcba9876543210 ", Some("audit")),
            ("BEARER ~+/=-._~+/=-._AB", Some("page")),
            ("Bearer 0123456789abcdeF", None),
            ("Bearer audit:0123456789abcdef", None),
            ("Basic 0123456789abcdef", None),
            ("0123456789abcdef", None),
            ("Bearer ", None),
            ("", None),
        ] {
            assert_eq!(tokens.reader(Some(authorization.as_bytes())), reader, "{authorization}");
        }
        assert_eq!(tokens.reader(None), None);
        assert_eq!(format!("{tokens:?}"), r#"["audit", "audit", "page"]"#);
    }

    #[test]
    fn tokens_of_another_form_stop_the_start_and_do_not_print() {
        let (long_name, long_token) = ("n".repeat(33), "t".repeat(257));
        for setting in [
            "",
            " , ",
            "hunter2hunter2hunter2",
            "name:hunter2",
            ":hunter2hunter2hunter2",
            "na me:hunter2hunter2hunter2",
            "name:hunter2hunter2 hunter2",
            "name:hunter2hunter2hunter2,name",
            &format!("{long_name}:hunter2hunter2hunter2"),
            &format!("name:{long_token}"),
            "one:hunter2hunter2hunter2,other:hunter2hunter2hunter2",
        ] {
            let error = tokens(setting).unwrap_err();
            assert!(error.starts_with("READER_TOKENS "), "{setting}: {error}");
            assert!(!error.contains("hunter2"), "{setting}: {error}");
        }
        assert!(tokens(&format!("{}:{}", "n".repeat(32), "t".repeat(256))).is_ok());
    }
}
