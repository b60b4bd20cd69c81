//! The key of a group, `{platform}#{app_id}#{group_id}`, taken apart.

use crate::platform::{PLATFORMS, Registration};

/// A group's key, taken apart.
#[derive(Clone, Debug)]
pub struct GroupKey {
    /// The whole key.
    pub group_key: String,
    /// The platform.
    pub platform: &'static Registration,
    /// The app's id.
    pub app_id: String,
    /// The group's id.
    pub group_id: String,
}

impl GroupKey {
    /// Takes a key apart; `None` where it is no group's.
    #[must_use]
    pub fn parse(group_key: &str) -> Option<Self> {
        PLATFORMS.into_iter().find_map(|platform| {
            let (app_id, group_id) = group_key.strip_prefix(platform.name)?.strip_prefix('#')?.split_once('#')?;
            let (app_id, group_id) = (app_id.to_owned(), group_id.to_owned());
            Some(Self { group_key: group_key.to_owned(), platform, app_id, group_id })
        })
    }
}
