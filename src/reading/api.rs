//! The HTTP API: `GET /ledger/v1/…`, for readers with a token.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{self, Request};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::header::{ACCEPT, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, LINK, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use serde::Serialize;
use tokio::time::timeout;
use tracing::info;
use utoipa::ToSchema;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::domain::record::{MAX_SORT_KEY_BYTES, gzip};
use crate::domain::timestamp::Timestamp;
use crate::panics::caught;
use crate::reading::change::Change;
use crate::reading::format::{Format, json, json_page};
use crate::reading::page::{MAX_PAGE_BYTES, Page};
use crate::reading::parameters::Parameters;
use crate::reading::problem::Problem;
use crate::reading::quarantine::{self, Apps, Quarantined};
use crate::reading::state::callbacks::Callbacks;
use crate::reading::state::query::{Members, MembersQuery};
use crate::reading::state::{self, State};
use crate::reading::tokens::Tokens;
use crate::reading::{feed, history, openapi, records, web};
use crate::settings::{SettingError, Settings};
use crate::storage::ledger::Ledger;

/// How long an answer may take; what takes longer is answered 503.
const TIME: Duration = Duration::from_secs(9);
/// How long one may take that folds a history: 20 s, and the last page's.
const FOLDING_TIME: Duration = Duration::from_secs(28);

/// What the routes need.
#[derive(Debug)]
pub struct Reader {
    ledger: Ledger,
    tokens: Tokens,
    apps: Apps,
    callbacks: Callbacks,
}

impl Reader {
    /// A reader of `ledger`, for whom and of which apps the settings say.
    ///
    /// # Errors
    ///
    /// If a setting is missing or wrong.
    pub fn from_settings(settings: &Settings<'_>, ledger: Ledger) -> Result<Self, SettingError> {
        Ok(Self {
            ledger,
            tokens: Tokens::from_settings(settings)?,
            apps: Apps::from_settings(settings),
            callbacks: Callbacks::default(),
        })
    }
}

/// One change with its body.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChangeWithBody {
    /// The change.
    #[serde(flatten)]
    pub change: Change,
    /// The callback's body, where it is a text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw: Option<String>,
    /// The body in base64, where it is no text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw_base64: Option<String>,
    /// The body compressed with gzip, in base64, where the answer would be too large.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw_gzip_base64: Option<String>,
}

/// A page of changes.
#[derive(Debug, Serialize, ToSchema)]
pub struct Changes {
    /// The changes; there may be fewer than `limit`, or none, and more on the next page.
    pub changes: Vec<Change>,
    /// Where the next page begins. In the feed it is always there; else it is null at the end.
    pub next: Option<String>,
    /// Whether there may be more now.
    pub more: bool,
}

/// A page of quarantine.
#[derive(Debug, Serialize, ToSchema)]
pub struct QuarantinedCallbacks {
    /// The callbacks, by app and in the order of receipt.
    pub quarantined: Vec<Quarantined>,
    /// Where the next page begins; null at the end.
    pub next: Option<String>,
    /// Whether there may be more now.
    pub more: bool,
}

/// The apps whose callbacks are received.
#[derive(Debug, Serialize, ToSchema)]
pub struct KnownApps<'r> {
    /// The apps, by platform.
    pub apps: Vec<App<'r>>,
}

/// An app.
#[derive(Debug, Serialize, ToSchema)]
pub struct App<'r> {
    /// The platform's name.
    pub platform: &'r str,
    /// The app's id.
    pub app_id: &'r str,
}

/// How many records an answer has, for the log.
#[derive(Clone, Copy)]
struct Records(usize);

/// The routes, and their description.
fn routes() -> OpenApiRouter<Arc<Reader>> {
    OpenApiRouter::with_openapi(openapi::description())
        .routes(routes!(get_history))
        .routes(routes!(get_change))
        .routes(routes!(get_state))
        .routes(routes!(get_members))
        .routes(routes!(get_feed))
        .routes(routes!(get_quarantine))
        .routes(routes!(get_apps))
        .routes(routes!(get_openapi))
}

/// The description of the routes, in `OpenAPI` 3.1.
#[must_use]
pub fn description() -> OpenApi {
    routes().into_openapi()
}

/// The API and the page, as a service of HTTP requests.
pub fn router(reader: Arc<Reader>) -> Router {
    let (router, _) = routes().split_for_parts();
    router
        .route("/ledger/v1/{*other}", any(no_such_route))
        .method_not_allowed_fallback(async || Problem::only_get())
        .layer(from_fn_with_state(Arc::clone(&reader), admit))
        .merge(web::router())
        .with_state(reader)
}

async fn no_such_route() -> Problem {
    Problem::not_found("There is no such route; /ledger/v1/openapi.json lists them.")
}

/// Lets readers in, within the time, and logs the request: never a group's id, a user's id or a token.
async fn admit(extract::State(reader): extract::State<Arc<Reader>>, request: Request, next: Next) -> Response {
    let start = Instant::now();
    let route = route(request.uri().path());
    let name = reader.tokens.reader(request.headers().get(AUTHORIZATION).map(HeaderValue::as_bytes)).map(str::to_owned);
    let mut response = if name.is_some() {
        let answered = caught(timeout(time(&request), next.run(request))).await;
        let defect = || Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "Internal error. The log says where.");
        let late = |_| Problem::unavailable().into_response();
        answered.map_or_else(|| defect().into_response(), |answered| answered.unwrap_or_else(late))
    } else {
        Problem::new(StatusCode::UNAUTHORIZED, "A token is missing or wrong: send Authorization: Bearer <token>.")
            .into_response()
    };
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let records = response.extensions().get::<Records>().map_or(0, |records| records.0);
    let (status, duration_us) =
        (response.status().as_u16(), u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX));
    info!(reader = name, route, status, records, duration_us, "read");
    response
}

/// How long a request may take.
fn time(request: &Request) -> Duration {
    let folds = match route(request.uri().path()) {
        "state" | "members" => true,
        "history" => form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes())
            .any(|(name, value)| name == "previous" && value == "true"),
        _ => false,
    };
    if folds { FOLDING_TIME } else { TIME }
}

/// A path as it may be logged: one of ours, or `other`.
fn route(path: &str) -> &'static str {
    let own = ["history", "change", "state", "members", "feed", "quarantine", "apps", "openapi.json"];
    own.into_iter().find(|route| path.strip_prefix("/ledger/v1/") == Some(*route)).unwrap_or("other")
}

/// A group's changes, oldest first.
#[utoipa::path(
    get,
    path = "/ledger/v1/history",
    params(openapi::GroupParameters, openapi::HistoryParameters),
    responses(
        (status = 200, content((Changes = "application/json"), (String = "application/x-ndjson"), (String = "text/csv"))),
        openapi::Errors,
    ),
)]
async fn get_history(
    extract::State(reader): extract::State<Arc<Reader>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let mut parameters = parameters_of(&uri);
    let format = format(&mut parameters, &headers)?;
    let query = history::Query::read(&mut parameters)?;
    parameters.end()?;
    let page = query.page(&reader.ledger, format).await?;
    Ok(changes(format, &page, &uri, "cursor"))
}

/// One change with its body.
#[utoipa::path(
    get,
    path = "/ledger/v1/change",
    params(openapi::GroupParameters, openapi::ChangeParameters),
    responses((status = 200, body = ChangeWithBody), (status = 404, body = Problem, content_type = "application/problem+json"), openapi::Errors),
)]
async fn get_change(extract::State(reader): extract::State<Arc<Reader>>, uri: Uri) -> Result<Response, Problem> {
    let mut parameters = parameters_of(&uri);
    let (group_key, change_key) = (parameters.group_key()?, parameters.required("change_key")?);
    if change_key.len() > MAX_SORT_KEY_BYTES {
        return Err(Problem::parameter("change_key", "is longer than any key."));
    }
    parameters.end()?;
    let item = reader.ledger.get(&group_key, &change_key).await?;
    let item = item.ok_or_else(|| Problem::not_found("There is no such change."))?;
    let (change, body) = records::change_with_body(&reader.ledger, item).await?;
    let mut answer = ChangeWithBody { change, raw: None, raw_base64: None, raw_gzip_base64: None };
    match body.map(String::from_utf8) {
        // As JSON it may be several times as long.
        Some(Ok(text)) if json(&text).len() < MAX_PAGE_BYTES / 2 => answer.raw = Some(text),
        Some(Ok(text)) => answer.raw_gzip_base64 = Some(BASE64_STANDARD.encode(gzip(text.as_bytes()))),
        Some(Err(error)) => answer.raw_base64 = Some(BASE64_STANDARD.encode(error.as_bytes())),
        None => {}
    }
    Ok(answered("application/json", json(&answer), 1))
}

/// A group's state: its history folded, up to now or to a time.
#[utoipa::path(
    get,
    path = "/ledger/v1/state",
    params(openapi::GroupParameters, openapi::StateParameters),
    responses((status = 200, body = State), (status = 404, body = Problem, content_type = "application/problem+json"), openapi::Errors),
)]
async fn get_state(extract::State(reader): extract::State<Arc<Reader>>, uri: Uri) -> Result<Response, Problem> {
    let mut parameters = parameters_of(&uri);
    let query = state::query::Query::read(&mut parameters)?;
    parameters.end()?;
    let state = query.state(&reader.ledger, &reader.callbacks).await?;
    Ok(answered("application/json", json(&state), record_count(state.changes)))
}

/// A group's members, by their ids.
#[utoipa::path(
    get,
    path = "/ledger/v1/members",
    params(openapi::GroupParameters, openapi::MembersParameters),
    responses((status = 200, body = Members), (status = 404, body = Problem, content_type = "application/problem+json"), openapi::Errors),
)]
async fn get_members(extract::State(reader): extract::State<Arc<Reader>>, uri: Uri) -> Result<Response, Problem> {
    let mut parameters = parameters_of(&uri);
    let query = MembersQuery::read(&mut parameters)?;
    parameters.end()?;
    let page = query.page(&reader.ledger, &reader.callbacks).await?;
    Ok(answered("application/json", json(&page), page.members.len()))
}

/// All groups' changes in the order of writing.
///
/// A consumer that keeps `next` and asks again sees each record once, provided that it is visible in the index within the
/// settle time of its `recorded_at`.
#[utoipa::path(
    get,
    path = "/ledger/v1/feed",
    params(openapi::FeedParameters),
    responses(
        (status = 200, content((Changes = "application/json"), (String = "application/x-ndjson"), (String = "text/csv"))),
        openapi::Errors,
    ),
)]
async fn get_feed(
    extract::State(reader): extract::State<Arc<Reader>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let mut parameters = parameters_of(&uri);
    let format = format(&mut parameters, &headers)?;
    let now = Timestamp::now();
    let query = feed::Query::read(&mut parameters, now)?;
    parameters.end()?;
    let page = query.page(&reader.ledger, &reader.ledger, now, format).await?;
    Ok(changes(format, &page, &uri, "after"))
}

/// What was genuine and not understood on a day.
#[utoipa::path(
    get,
    path = "/ledger/v1/quarantine",
    params(openapi::QuarantineParameters),
    responses((status = 200, body = QuarantinedCallbacks), openapi::Errors),
)]
async fn get_quarantine(extract::State(reader): extract::State<Arc<Reader>>, uri: Uri) -> Result<Response, Problem> {
    let mut parameters = parameters_of(&uri);
    let query = quarantine::Query::read(&mut parameters, &reader.apps)?;
    parameters.end()?;
    let page = query.page(&reader.ledger).await?;
    Ok(answered("application/json", json_page("quarantined", &page), page.rows.len()))
}

/// The apps whose callbacks are received.
#[utoipa::path(get, path = "/ledger/v1/apps", responses((status = 200, body = KnownApps), openapi::Errors))]
async fn get_apps(extract::State(reader): extract::State<Arc<Reader>>, uri: Uri) -> Result<Response, Problem> {
    parameters_of(&uri).end()?;
    let apps = reader.apps.iter().map(|(platform, app_id)| App { platform, app_id }).collect();
    Ok(answered("application/json", json(&KnownApps { apps }), 0))
}

/// This description.
#[utoipa::path(get, path = "/ledger/v1/openapi.json", responses((status = 200, body = Object), openapi::Errors))]
async fn get_openapi(uri: Uri) -> Result<Response, Problem> {
    parameters_of(&uri).end()?;
    Ok(answered("application/json", json(&description()), 0))
}

fn parameters_of(uri: &Uri) -> Parameters {
    Parameters::parse(uri.query().unwrap_or_default())
}

fn format(parameters: &mut Parameters, headers: &HeaderMap) -> Result<Format, Problem> {
    let accept = headers.get(ACCEPT).map(|accept| String::from_utf8_lossy(accept.as_bytes())).unwrap_or_default();
    Format::asked_for(parameters.one("format")?.as_deref(), &accept)
}

/// A page of changes. Where its format has no place for the cursor, a link to the next page has it.
fn changes(format: Format, page: &Page, uri: &Uri, cursor: &str) -> Response {
    let mut response = answered(format.media_type(), format.page(page), page.rows.len());
    if let Some(next) = &page.next {
        // The feed's cursor has `from` in it; the other parameters stay.
        let stays = |name: &str| name != cursor && (name != "from" || cursor == "cursor");
        let own = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).filter(|(name, _)| stays(name));
        let query =
            form_urlencoded::Serializer::new(String::new()).extend_pairs(own).append_pair(cursor, next).finish();
        let more = if page.more { "; more" } else { "" };
        let link = format!("<{}?{query}>; rel=\"next\"{more}", uri.path());
        if let Ok(link) = HeaderValue::try_from(link) {
            response.headers_mut().insert(LINK, link);
        }
    }
    response
}

fn record_count(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

fn answered(media_type: &'static str, body: String, records: usize) -> Response {
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response.extensions_mut().insert(Records(records));
    response
}
