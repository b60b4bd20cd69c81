//! A request's parameters. Each is read once; an unknown one is rejected by name.

use std::fmt::Display;
use std::str::FromStr;

use crate::domain::change::Kind;
use crate::domain::record::{self, MAX_PARTITION_KEY_BYTES};
use crate::domain::timestamp::Timestamp;
use crate::platform::{self, PLATFORMS, Registration};
use crate::reading::cursor::Binding;
use crate::reading::group_key::GroupKey;
use crate::reading::problem::Problem;

/// The longest id of an app, as the platforms' settings have it.
const MAX_APP_ID_BYTES: usize = 64;

/// The parameters of a query string that were not read yet.
pub struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Reads a query string.
    #[must_use]
    pub fn parse(query: &str) -> Self {
        Self(form_urlencoded::parse(query.as_bytes()).into_owned().collect())
    }

    /// Parameters that come from elsewhere than a query string.
    #[must_use]
    pub fn of(pairs: Vec<(String, String)>) -> Self {
        Self(pairs)
    }

    /// Every value of `name`.
    pub fn all(&mut self, name: &str) -> Vec<String> {
        let (own, others) = std::mem::take(&mut self.0).into_iter().partition(|(key, _)| key == name);
        self.0 = others;
        let own: Vec<(String, String)> = own;
        own.into_iter().map(|(_, value)| value).collect()
    }

    /// The value of `name`.
    ///
    /// # Errors
    ///
    /// If it is given more than once, or empty.
    pub fn one(&mut self, name: &str) -> Result<Option<String>, Problem> {
        let mut values = self.all(name);
        match (values.pop(), values.is_empty()) {
            (None, _) => Ok(None),
            (Some(_), false) => Err(Problem::parameter(name, "is given more than once.")),
            (Some(value), true) if value.is_empty() => Err(Problem::parameter(name, "is empty.")),
            (Some(value), true) => Ok(Some(value)),
        }
    }

    /// The value of `name`, which must be there.
    ///
    /// # Errors
    ///
    /// If it is not, or not once.
    pub fn required(&mut self, name: &str) -> Result<String, Problem> {
        self.one(name)?.ok_or_else(|| Problem::parameter(name, "is missing."))
    }

    /// The value of `name` as something else.
    ///
    /// # Errors
    ///
    /// If it is none: `must` says what it must be.
    fn read<T: FromStr>(&mut self, name: &str, must: &str) -> Result<Option<T>, Problem> {
        let value = self.one(name)?.map(|value| value.parse());
        value.transpose().map_err(|_| Problem::parameter(name, must))
    }

    /// A point in time.
    ///
    /// # Errors
    ///
    /// If it is none.
    pub fn time(&mut self, name: &str) -> Result<Option<Timestamp>, Problem> {
        self.read(name, "must be a time in RFC 3339, as 2022-12-09T12:40:14.123Z (with + as %2B).")
    }

    /// A whole number of `least` to `most`, or `default`.
    ///
    /// # Errors
    ///
    /// If it is none.
    pub fn number<T>(&mut self, name: &str, default: T, least: T, most: T) -> Result<T, Problem>
    where
        T: FromStr + PartialOrd + Copy + Display,
    {
        let detail = format!("must be a whole number from {least} to {most}.");
        let number = self.read(name, &detail)?.unwrap_or(default);
        if (least..=most).contains(&number) { Ok(number) } else { Err(Problem::parameter(name, &detail)) }
    }

    /// `true` or `false`; absent is `false`.
    ///
    /// # Errors
    ///
    /// If it is neither.
    pub fn flag(&mut self, name: &str) -> Result<bool, Problem> {
        Ok(self.read(name, "must be true or false.")?.unwrap_or(false))
    }

    /// Whether `order` is `desc`; `asc` is the default.
    ///
    /// # Errors
    ///
    /// If it is neither.
    pub fn descending(&mut self) -> Result<bool, Problem> {
        match self.one("order")?.as_deref() {
            None | Some("asc") => Ok(false),
            Some("desc") => Ok(true),
            Some(_) => Err(Problem::parameter("order", "must be asc or desc.")),
        }
    }

    /// The kinds that are asked for: `kind`, repeatedly; `member.*` is every kind of that family. None is all.
    ///
    /// # Errors
    ///
    /// If one is no kind.
    pub fn kinds(&mut self) -> Result<Vec<Kind>, Problem> {
        let mut kinds = Vec::new();
        for name in self.all("kind") {
            let family = name.strip_suffix('*').filter(|family| family.ends_with('.'));
            let is_meant = |kind: &Kind| match family {
                Some(family) => kind.as_str().starts_with(family),
                None => kind.as_str() == name,
            };
            let before = kinds.len();
            kinds.extend(Kind::ALL.into_iter().filter(is_meant));
            if kinds.len() == before {
                return Err(Problem::parameter("kind", "must be a kind, as group.created, or a family, as member.*."));
            }
        }
        kinds.sort_by_key(|kind| kind.as_str());
        kinds.dedup();
        Ok(kinds)
    }

    /// A platform's name.
    ///
    /// # Errors
    ///
    /// If it is none.
    pub fn platform(&mut self) -> Result<Option<&'static Registration>, Problem> {
        let Some(name) = self.one("platform")? else { return Ok(None) };
        let known = platform::find(&name);
        let names: Vec<&str> = PLATFORMS.iter().map(|platform| platform.name).collect();
        known.ok_or_else(|| Problem::parameter("platform", &format!("must be one of {}.", names.join(", ")))).map(Some)
    }

    /// An app's id.
    ///
    /// # Errors
    ///
    /// If it is longer than any is.
    pub fn app_id(&mut self) -> Result<Option<String>, Problem> {
        match self.one("app_id")? {
            Some(id) if id.len() > MAX_APP_ID_BYTES => Err(Problem::parameter("app_id", "is longer than any app id.")),
            id => Ok(id),
        }
    }

    /// The group that is asked for: `group_key`, or `platform`, `app_id` and `group_id`.
    ///
    /// # Errors
    ///
    /// If none is, or the key is no group's.
    pub fn group_key(&mut self) -> Result<String, Problem> {
        if let Some(key) = self.one("group_key")? {
            return if GroupKey::parse(&key).is_some() && key.len() <= MAX_PARTITION_KEY_BYTES {
                Ok(key)
            } else {
                let names: Vec<&str> = PLATFORMS.iter().map(|platform| platform.name).collect();
                let must = "must be {platform}#{app_id}#{group_id} (with # as %23), where the platform is";
                Err(Problem::parameter("group_key", &format!("{must} {}.", names.join(" or "))))
            };
        }
        let Some(platform) = self.platform()? else {
            return Err(Problem::parameter("group_key", "is missing: give it, or platform, app_id and group_id."));
        };
        let app_id = self.app_id()?.ok_or_else(|| Problem::parameter("app_id", "is missing."))?;
        let group_id = self.required("group_id")?;
        Ok(record::group_key(platform.name, &app_id, &group_id))
    }

    /// The position of the cursor `name`.
    ///
    /// # Errors
    ///
    /// If it is none of the list that `binding` is of.
    pub fn position(&mut self, name: &str, binding: &Binding) -> Result<Option<String>, Problem> {
        let Some(cursor) = self.one(name)? else { return Ok(None) };
        binding.position(&cursor).ok_or_else(|| not_a_cursor(name)).map(Some)
    }

    /// Says that every parameter was read.
    ///
    /// # Errors
    ///
    /// If one was not: it is unknown.
    pub fn end(self) -> Result<(), Problem> {
        match self.0.into_iter().next() {
            None => Ok(()),
            Some((name, _)) => {
                let name: String = name.chars().take(64).collect();
                Err(Problem::parameter(&name, "is not a parameter of this route."))
            }
        }
    }
}

/// A cursor that is none of this list.
pub(crate) fn not_a_cursor(name: &str) -> Problem {
    Problem::parameter(name, "is no cursor of this list: take the `next` of a page with the same parameters.")
}
