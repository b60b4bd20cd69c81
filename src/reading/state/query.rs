//! What the API is asked of a group's state, and its answers.

use std::ops::Bound;
use std::time::{Duration, Instant};

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::timestamp::Timestamp;
use crate::reading::cursor::Binding;
use crate::reading::format::json;
use crate::reading::group_key::GroupKey;
use crate::reading::page::{Capacity, MAX_LIMIT};
use crate::reading::parameters::Parameters;
use crate::reading::problem::Problem;
use crate::reading::state::callbacks::Callbacks;
use crate::reading::state::fold::Fold;
use crate::reading::state::group::Member;
use crate::reading::state::{State, read};
use crate::storage::ledger::Ledger;
use crate::storage::read::ReadError;

/// How long a request may fold; what it has by then is its answer.
const TIME: Duration = Duration::from_secs(20);

/// A group, and a time.
#[derive(Clone, Debug)]
pub struct Query {
    key: GroupKey,
    at: Option<Timestamp>,
}

impl Query {
    /// Reads the parameters of a state.
    ///
    /// # Errors
    ///
    /// If one is wrong.
    pub fn read(parameters: &mut Parameters) -> Result<Self, Problem> {
        let key = GroupKey::parse(&parameters.group_key()?).filter(|key| !key.group_id.is_empty());
        let key = key.ok_or_else(|| Problem::parameter("group_key", "names no group: its group id is empty."))?;
        Ok(Self { key, at: parameters.time("at")? })
    }

    /// The group's state; `None` where nothing is recorded of it. After `deadline`, as far as it was folded.
    ///
    /// # Errors
    ///
    /// If the table cannot be read.
    pub async fn read_state(
        self,
        ledger: &Ledger,
        callbacks: &Callbacks,
        deadline: Option<Instant>,
    ) -> Result<Option<State>, ReadError> {
        read::state(ledger, callbacks, self.key, self.at, deadline).await
    }

    /// As [`read_state`](Self::read_state), for one request.
    ///
    /// # Errors
    ///
    /// If nothing is recorded of it, or the table cannot be read.
    pub async fn state(self, ledger: &Ledger, callbacks: &Callbacks) -> Result<State, Problem> {
        self.read_state(ledger, callbacks, Some(Instant::now() + TIME)).await?.ok_or_else(nothing)
    }
}

/// A page of a group's members.
#[derive(Debug, Serialize, ToSchema)]
pub struct Members {
    /// The members, by their ids.
    pub members: Vec<Listed>,
    /// How many members are known.
    pub members_total: usize,
    /// Whether these are all members, as in the state.
    pub members_complete: bool,
    /// Whether all of the history was folded, as in the state.
    pub finished: bool,
    /// Where the next page begins; null at the end.
    pub next: Option<String>,
    /// Whether there are more.
    pub more: bool,
}

/// A member in a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct Listed {
    /// The user's id.
    pub user: String,
    /// What is known of the membership.
    #[serde(flatten)]
    pub member: Member,
}

/// Which members.
#[derive(Clone, Debug)]
pub struct MembersQuery {
    group: Query,
    binding: Binding,
    /// The user that was listed last.
    after: Option<String>,
    limit: usize,
}

impl MembersQuery {
    /// Reads the parameters of a list of members.
    ///
    /// # Errors
    ///
    /// If one is wrong.
    pub fn read(parameters: &mut Parameters) -> Result<Self, Problem> {
        let group = Query::read(parameters)?;
        let limit = parameters.number("limit", 100, 1, MAX_LIMIT)?;
        let at = group.at.map(|at| at.to_string()).unwrap_or_default();
        let binding = Binding::new("members", [group.key.group_key.as_str(), &at]);
        let after = parameters.position("cursor", &binding)?;
        Ok(Self { group, binding, after, limit })
    }

    /// A page of the members.
    ///
    /// # Errors
    ///
    /// If nothing is recorded of the group, or the table cannot be read.
    pub async fn page(self, ledger: &Ledger, callbacks: &Callbacks) -> Result<Members, Problem> {
        let (now, deadline) = (Timestamp::now(), Instant::now() + TIME);
        let folded = read::fold(ledger, Fold::new(self.group.key, now).up_to(self.group.at), Some(deadline)).await?;
        let are_on = read::are_on(ledger, callbacks, &folded, now).await;
        let after = self.after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let (mut room, mut members, mut more) = (Capacity::new(self.limit), Vec::new(), false);
        for (user, member) in folded.members().range::<str, _>((after, Bound::Unbounded)) {
            let listed = Listed { user: user.clone(), member: member.clone() };
            if !room.take(json(&listed).len()) {
                more = true;
                break;
            }
            members.push(listed);
        }
        let next = members.last().filter(|_| more).map(|last| self.binding.cursor(&last.user));
        let state = folded.state(are_on).ok_or_else(nothing)?;
        let State { members_total, members_complete, finished, .. } = state;
        Ok(Members { members, members_total, members_complete, finished, next, more })
    }
}

fn nothing() -> Problem {
    Problem::not_found(
        "Nothing is recorded of this group up to then. Check the time and the group's id: Tencent's may begin with @TGS#.",
    )
}
