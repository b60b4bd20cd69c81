//! The API's description: parameters, security and errors. Keep it in step with each `Query::read`; a test compares them.

use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::{IntoParams, IntoResponses, OpenApi as _};

use crate::reading::problem::Problem;

/// The description without its routes.
#[must_use]
pub(crate) fn description() -> OpenApi {
    #[derive(utoipa::OpenApi)]
    #[openapi(info(
        title = "Group Ledger",
        description = "What chat platforms reported about their groups. Read only.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ))]
    struct Description;

    let mut description = Description::openapi();
    let token = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    description.components.get_or_insert_default().add_security_scheme("token", token);
    description.security = Some(vec![SecurityRequirement::new::<_, [&str; 0], _>("token", [])]);
    description
}

/// What every route may answer.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes the answers of code elsewhere")]
pub(crate) enum Errors {
    /// A parameter is wrong, or unknown: `parameter` names it.
    #[response(status = 400, content_type = "application/problem+json")]
    BadRequest(#[to_schema] Problem),
    /// The token is missing or wrong.
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthorized(#[to_schema] Problem),
    /// Neither GET nor HEAD.
    #[response(status = 405, content_type = "application/problem+json")]
    MethodNotAllowed(#[to_schema] Problem),
    /// More requests than are let through; API Gateway answers it, not with a problem.
    #[response(status = 429)]
    TooManyRequests,
    /// A record cannot be read, or the request met a defect.
    #[response(status = 500, content_type = "application/problem+json")]
    InternalServerError(#[to_schema] Problem),
    /// The ledger does not answer at the moment.
    #[response(status = 503, content_type = "application/problem+json")]
    ServiceUnavailable(#[to_schema] Problem),
}

/// Which group.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes what code elsewhere reads")]
pub(crate) struct GroupParameters {
    /// The group: `{platform}#{app_id}#{group_id}`. Or `platform`, `app_id` and `group_id`.
    group_key: Option<String>,
    /// The platform's name, instead of `group_key`.
    platform: Option<String>,
    /// The app's id, instead of `group_key`.
    app_id: Option<String>,
    /// The group's id, instead of `group_key`.
    group_id: Option<String>,
}

/// Which of its changes.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes what code elsewhere reads")]
pub(crate) struct HistoryParameters {
    /// Changes that happened at this time (RFC 3339) or later.
    from: Option<String>,
    /// Changes that happened before this time (RFC 3339).
    until: Option<String>,
    /// A kind, as `group.created`, or a family, as `member.*`; repeatable.
    kind: Option<Vec<String>>,
    /// Changes by this user.
    operator: Option<String>,
    /// `asc` (the default) or `desc`.
    order: Option<String>,
    /// The most changes of the page.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
    /// The `next` of the page before.
    cursor: Option<String>,
    /// Whether each change has what its fields were before; left out where the history is too long for one request.
    previous: Option<bool>,
    /// `json`, `ndjson` or `csv`; else `Accept` counts.
    format: Option<String>,
}

/// Which change.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes what code elsewhere reads")]
pub(crate) struct ChangeParameters {
    /// The change's key.
    change_key: String,
}

/// When.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes what code elsewhere reads")]
pub(crate) struct StateParameters {
    /// The time (RFC 3339) up to which changes count, itself included; now by default.
    at: Option<String>,
}

/// When, and which page.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes what code elsewhere reads")]
pub(crate) struct MembersParameters {
    /// The time (RFC 3339) up to which changes count, itself included; now by default.
    at: Option<String>,
    /// The most members of the page.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
    /// The `next` of the page before.
    cursor: Option<String>,
}

/// Which changes of all groups.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes what code elsewhere reads")]
pub(crate) struct FeedParameters {
    /// The `next` of the page before. Not together with `from`.
    after: Option<String>,
    /// Records written at this time (RFC 3339) or later; 24 hours ago by default. A cursor keeps it.
    from: Option<String>,
    /// `asc` (the default), or `desc` for the newest first, which shows what has not settled and promises nothing.
    order: Option<String>,
    /// A kind, as `group.created`, or a family, as `member.*`; repeatable.
    kind: Option<Vec<String>>,
    /// A platform's name.
    platform: Option<String>,
    /// How long a record may take to be visible, in seconds; under 10 nothing is promised.
    #[param(minimum = 0, maximum = 300, default = 10)]
    settle: Option<u32>,
    /// Whether each change has all its attributes, as in the history; then `limit` is at most 100.
    details: Option<bool>,
    /// The most changes of the page.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
    /// `json`, `ndjson` or `csv`; else `Accept` counts.
    format: Option<String>,
}

/// Which day of quarantine.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes what code elsewhere reads")]
pub(crate) struct QuarantineParameters {
    /// The day (UTC) of receipt: `2022-12-09`.
    day: String,
    /// A platform's name.
    platform: Option<String>,
    /// An app's id; else the apps whose callbacks are received.
    app_id: Option<String>,
    /// The most callbacks of the page.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
    /// The `next` of the page before.
    cursor: Option<String>,
}
