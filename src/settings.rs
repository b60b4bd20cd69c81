//! Settings: typed readers of environment variables. An error names the variable and never shows its value.

use secrecy::SecretString;

/// A setting that stops the start.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} {problem}")]
pub struct SettingError {
    name: &'static str,
    problem: &'static str,
}

impl SettingError {
    /// The setting `name` is wrong; `problem` continues the sentence and says what to do.
    #[must_use]
    pub const fn new(name: &'static str, problem: &'static str) -> Self {
        Self { name, problem }
    }
}

/// Where settings are read from: the environment, or a test's table.
pub struct Settings<'e>(&'e dyn Fn(&str) -> Option<String>);

impl Settings<'static> {
    /// The process's environment.
    #[must_use]
    pub fn from_env() -> Self {
        // A non-UTF-8 secret must not read as unset, or authentication would be off.
        Self(&|name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()))
    }
}

impl<'e> Settings<'e> {
    /// Settings that `lookup` answers for.
    #[must_use]
    pub fn new(lookup: &'e dyn Fn(&str) -> Option<String>) -> Self {
        Self(lookup)
    }

    /// A text, without white space around it; an empty one is an absent one, because a template's parameter without a
    /// value arrives as the empty text.
    #[must_use]
    pub fn text(&self, name: &'static str) -> Option<String> {
        let text = (self.0)(name)?.trim().to_owned();
        (!text.is_empty()).then_some(text)
    }

    /// A text that must be there.
    ///
    /// # Errors
    ///
    /// If it is missing or empty.
    pub fn required(&self, name: &'static str) -> Result<String, SettingError> {
        self.text(name).ok_or(SettingError::new(name, "is not set"))
    }

    /// `true` or `false`; absent is `false`.
    ///
    /// # Errors
    ///
    /// If it is neither.
    pub fn flag(&self, name: &'static str) -> Result<bool, SettingError> {
        self.flag_or(name, false)
    }

    /// `true` or `false`, or `default` where it is absent.
    ///
    /// # Errors
    ///
    /// If it is neither.
    pub fn flag_or(&self, name: &'static str, default: bool) -> Result<bool, SettingError> {
        match self.text(name).as_deref() {
            None => Ok(default),
            Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(SettingError::new(name, "must be true or false")),
        }
    }

    /// `on` or `off`, or `default` where it is absent.
    ///
    /// # Errors
    ///
    /// If it is neither.
    pub fn switch_or(&self, name: &'static str, default: bool) -> Result<bool, SettingError> {
        match self.text(name).as_deref() {
            None => Ok(default),
            Some("off") => Ok(false),
            Some("on") => Ok(true),
            Some(_) => Err(SettingError::new(name, "must be on or off")),
        }
    }

    /// A whole number of days, at least 1.
    ///
    /// # Errors
    ///
    /// If the text is no such number.
    pub fn days(&self, name: &'static str) -> Result<Option<u32>, SettingError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        match text.parse() {
            Ok(days) if days > 0 => Ok(Some(days)),
            _ => Err(SettingError::new(name, "must be a whole number of days, 1 or more")),
        }
    }

    /// Secrets, separated by commas: several are live while one is rotated. White space around one is not part of it.
    ///
    /// # Errors
    ///
    /// If the setting is there, and no secret in it.
    pub fn secrets(&self, name: &'static str) -> Result<Vec<SecretString>, SettingError> {
        let Some(text) = self.text(name) else { return Ok(Vec::new()) };
        let secrets = text.split(',').map(str::trim).filter(|secret| !secret.is_empty());
        let secrets: Vec<_> = secrets.map(SecretString::from).collect();
        if secrets.is_empty() { Err(SettingError::new(name, "has no secret in it")) } else { Ok(secrets) }
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::{SettingError, Settings};

    fn with<T>(value: Option<&str>, read: impl FnOnce(Settings<'_>) -> T) -> T {
        read(Settings::new(&|_| value.map(str::to_owned)))
    }

    #[test]
    fn the_environment_is_read() {
        assert!(Settings::from_env().text("PATH").is_some());
        assert_eq!(Settings::from_env().text("NO_SUCH_SETTING"), None);
    }

    #[test]
    fn an_empty_text_is_an_absent_one() {
        for value in [None, Some(""), Some("  ")] {
            assert_eq!(with(value, |settings| settings.required("X")), Err(SettingError::new("X", "is not set")));
        }
        assert_eq!(with(Some(" x "), |settings| settings.required("X")), Ok("x".to_owned()));
    }

    #[test]
    fn a_flag_is_true_or_false() {
        for (value, flag) in
            [(None, Some(false)), (Some("true"), Some(true)), (Some("false"), Some(false)), (Some("1"), None)]
        {
            assert_eq!(with(value, |settings| settings.flag("X")).ok(), flag, "{value:?}");
        }
    }

    #[test]
    fn a_switch_is_on_or_off() {
        for (value, switch) in
            [(None, Some(true)), (Some("on"), Some(true)), (Some("off"), Some(false)), (Some("true"), None)]
        {
            assert_eq!(with(value, |settings| settings.switch_or("X", true)).ok(), switch, "{value:?}");
        }
    }

    #[test]
    fn days_are_whole_and_positive() {
        for (value, days) in
            [(None, Some(None)), (Some("30"), Some(Some(30))), (Some("0"), None), (Some("-1"), None), (Some("x"), None)]
        {
            assert_eq!(with(value, |settings| settings.days("X")).ok(), days, "{value:?}");
        }
    }

    #[test]
    fn secrets_are_separated_by_commas_and_do_not_print() {
        let secrets = with(Some("new, old,,"), |settings| settings.secrets("X")).unwrap();
        assert_eq!(secrets.iter().map(ExposeSecret::expose_secret).collect::<Vec<_>>(), ["new", "old"]);
        assert!(!format!("{secrets:?}").contains("old"));
    }

    #[test]
    fn an_error_names_the_variable_and_not_its_value() {
        let error = with(Some("hunter2"), |settings| settings.flag("TENCENT_ALLOW_UNSIGNED")).unwrap_err();
        assert_eq!(error.to_string(), "TENCENT_ALLOW_UNSIGNED must be true or false");
    }
}
