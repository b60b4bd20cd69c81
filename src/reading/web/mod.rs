//! The page at `/ledger`: files in the binary, which anyone may load. What they show comes from the API, for a token.
//!
//! The scripts are ES modules, one for each part of the page. They are sent as one file, because each file is an invocation of the function:
//! [`script`] joins them. The stylesheet, the script and the icon have the hash of their contents in their address, so that a
//! browser may keep them for good; the page itself is asked for each time, and answered 304 where it has not changed.

use std::io::Write;
use std::sync::LazyLock;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH,
    REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use sha2::{Digest, Sha256};
use tracing::info;

use crate::reading::problem::Problem;

/// The modules of the script, each after those that it imports.
const MODULES: [&str; 22] = [
    include_str!("script/dom.js"),
    include_str!("texts/en.js"),
    include_str!("texts/zh.js"),
    include_str!("script/texts.js"),
    include_str!("script/api.js"),
    include_str!("script/names.js"),
    include_str!("script/sentences.js"),
    include_str!("script/parts.js"),
    include_str!("script/body.js"),
    include_str!("script/details.js"),
    include_str!("script/change.js"),
    include_str!("script/list.js"),
    include_str!("script/feed.js"),
    include_str!("script/now.js"),
    include_str!("script/quarantine.js"),
    include_str!("script/gaps.js"),
    include_str!("script/state.js"),
    include_str!("script/history.js"),
    include_str!("script/group.js"),
    include_str!("script/search.js"),
    include_str!("script/keys.js"),
    include_str!("script/sign_in.js"),
];
const MAIN: &str = include_str!("script/ledger.js");

/// Nothing but the page's own files and its own API. No text becomes markup: no script may assign any.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; \
    form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

const ALWAYS_ASK: &str = "no-cache";
const KEEP: &str = "public, max-age=31536000, immutable";

/// A file of the page, as it is sent.
struct File {
    media_type: &'static str,
    cache: &'static str,
    plain: Bytes,
    gzip: Bytes,
    hash: String,
}

struct Files {
    /// The last part of the assets' address.
    hash: String,
    page: File,
    style: File,
    script: File,
    icon: File,
}

static FILES: LazyLock<Files> = LazyLock::new(|| {
    let style = File::new("text/css; charset=utf-8", KEEP, include_str!("style.css").into());
    let script = File::new("text/javascript; charset=utf-8", KEEP, script());
    let icon = File::new("image/svg+xml", KEEP, include_str!("icon.svg").into());
    let hash = hash([&style, &script, &icon].map(|file| file.hash.as_str()).concat().as_bytes());
    // Relative to the page's own address: the API may be under a path of its own.
    let page = include_str!("index.html").replace("{assets}", &format!("ledger/assets/{hash}"));
    Files { page: File::new("text/html; charset=utf-8", ALWAYS_ASK, page), hash, style, script, icon }
});

/// The routes of the page, and the answer where there is nothing.
pub(crate) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/ledger", get(page))
        .route("/ledger/assets/{hash}/{file}", get(asset))
        .fallback(nothing)
        .method_not_allowed_fallback(async || logged("page", Problem::only_get().into_response()))
}

async fn page(headers: HeaderMap) -> Response {
    logged("page", FILES.page.answer(&headers))
}

async fn asset(Path((hash, file)): Path<(String, String)>, headers: HeaderMap) -> Response {
    let files = &*FILES;
    let file = match file.as_str() {
        "ledger.css" => Some(&files.style),
        "ledger.js" => Some(&files.script),
        "icon.svg" => Some(&files.icon),
        _ => None,
    };
    // A page of another version must not mix its files with these.
    let file = file.filter(|_| hash == files.hash);
    let gone = || Problem::not_found("There is no such file in this version: load the page again.").into_response();
    logged("asset", file.map_or_else(gone, |file| file.answer(&headers)))
}

/// In the local stack the reader gets every path that no platform has. No JSON: `OpenIM` takes the fields of any for a hook's answer.
async fn nothing() -> Response {
    logged("other", (StatusCode::NOT_FOUND, "There is nothing here. The page is at /ledger.\n").into_response())
}

fn logged(route: &'static str, mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    info!(route, status = response.status().as_u16(), "page");
    response
}

impl File {
    fn new(media_type: &'static str, cache: &'static str, text: String) -> Self {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        // Writing to memory does not fail; an empty copy would not be sent as one.
        let gzip = gzip.write_all(text.as_bytes()).and_then(|()| gzip.finish()).unwrap_or_default();
        Self { media_type, cache, hash: hash(text.as_bytes()), plain: text.into(), gzip: gzip.into() }
    }

    fn answer(&self, headers: &HeaderMap) -> Response {
        let zipped = !self.gzip.is_empty() && accepts_gzip(headers);
        // The two copies are not the same bytes.
        let tag = if zipped { format!("\"{}-gzip\"", self.hash) } else { format!("\"{}\"", self.hash) };
        let mut response = Response::new(Body::empty());
        if matches(headers, &tag) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        } else {
            *response.body_mut() = Body::from(if zipped { &self.gzip } else { &self.plain }.clone());
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(self.media_type));
            if zipped {
                response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            }
        }
        let headers = response.headers_mut();
        if let Ok(tag) = HeaderValue::try_from(tag) {
            headers.insert(ETAG, tag);
        }
        for (name, value) in [
            (CACHE_CONTROL, self.cache),
            (VARY, "accept-encoding"),
            (CONTENT_SECURITY_POLICY, POLICY),
            (REFERRER_POLICY, "no-referrer"),
            (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
            (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

fn accepts_gzip(headers: &HeaderMap) -> bool {
    let codings = headers.get_all(ACCEPT_ENCODING).into_iter().filter_map(|value| value.to_str().ok());
    codings.flat_map(|value| value.split(',')).any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let refused = weight.trim().strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0));
        name.trim().eq_ignore_ascii_case("gzip") && !refused
    })
}

/// Whether the client has this copy already.
fn matches(headers: &HeaderMap, tag: &str) -> bool {
    let tags = headers.get_all(IF_NONE_MATCH).into_iter().filter_map(|value| value.to_str().ok());
    tags.flat_map(|value| value.split(','))
        .map(|one| one.trim().trim_start_matches("W/"))
        .any(|one| one == tag || one == "*")
}

fn hash(bytes: &[u8]) -> String {
    let mut hash = hex::encode(Sha256::digest(bytes));
    hash.truncate(16);
    hash
}

/// The modules as one script: what one exports is in scope for those that follow.
fn script() -> String {
    let (mut script, mut in_import) = (String::new(), false);
    for line in MODULES.into_iter().chain([MAIN]).flat_map(str::lines) {
        in_import |= line.starts_with("import ");
        if in_import {
            in_import = !line.ends_with(';');
            continue;
        }
        script.push_str(line.strip_prefix("export ").unwrap_or(line));
        script.push('\n');
    }
    script
}
