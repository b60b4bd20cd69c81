//! The page's files: how they are served, and that their texts are complete. What they do in a browser is held in `browser`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::Path;

use axum::body::{Body, to_bytes};
use flate2::read::GzDecoder;
use group_ledger::domain::change::Kind;
use http::{HeaderMap, Request};
use tower::ServiceExt as _;

use super::{api, sent};
use crate::support::Table;

const FOLDER: &str = "src/reading/web";

struct Got {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

/// Asks for a file of the page as a browser does: without a token.
async fn ask(table: &Table, path: &str, headers: &[(&str, &str)]) -> Got {
    let request = headers.iter().fold(Request::get(path), |request, (name, value)| request.header(*name, *value));
    let answer = api(table).oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (parts, body) = answer.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap().to_vec();
    Got { status: parts.status.as_u16(), headers: parts.headers, body }
}

/// The files that the page names.
async fn assets(table: &Table) -> Vec<String> {
    let page = String::from_utf8(ask(table, "/ledger", &[]).await.body).unwrap();
    let named = page.split('"').filter(|part| part.starts_with("ledger/assets/"));
    named.map(|path| format!("/{path}")).collect()
}

#[tokio::test]
async fn the_page_is_served_to_anyone_and_may_load_only_its_own_files() {
    let table = Table::start().await;
    let page = ask(&table, "/ledger", &[]).await;
    assert_eq!((page.status, &page.headers["content-type"]), (200, &"text/html; charset=utf-8".parse().unwrap()));
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
    ] {
        assert_eq!(page.headers[name], value);
    }
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    let directives: BTreeMap<&str, &str> =
        policy.split("; ").map(|directive| directive.split_once(' ').unwrap()).collect();
    assert_eq!(directives["default-src"], "'none'");
    assert_eq!(directives["frame-ancestors"], "'none'");
    assert_eq!(directives["require-trusted-types-for"], "'script'");
    for unsafe_word in ["unsafe", "data:", "blob:", "*", "http"] {
        assert!(!policy.contains(unsafe_word), "{policy}");
    }
    let assets = assets(&table).await;
    assert_eq!(assets.len(), 3, "{assets:?}");
    for path in assets {
        let asset = ask(&table, &path, &[]).await;
        assert_eq!(
            (asset.status, &asset.headers["cache-control"]),
            (200, &"public, max-age=31536000, immutable".parse().unwrap())
        );
        let text = String::from_utf8(asset.body).unwrap();
        let elsewhere = text.replace("http://www.w3.org/2000/svg", "");
        assert!(!elsewhere.contains("http://") && !elsewhere.contains("https://"), "{path} names another host");
    }
}

#[tokio::test]
async fn a_browser_keeps_what_has_not_changed_and_asks_for_the_page_each_time() {
    let table = Table::start().await;
    assert_eq!(ask(&table, "/ledger", &[]).await.headers["cache-control"], "no-cache");
    for path in assets(&table).await.into_iter().chain(["/ledger".to_owned()]) {
        let plain = ask(&table, &path, &[]).await;
        let zipped = ask(&table, &path, &[("accept-encoding", "br, gzip")]).await;
        assert_eq!([&plain.headers["vary"], &zipped.headers["vary"]], ["accept-encoding", "accept-encoding"]);
        let mut unzipped = Vec::new();
        GzDecoder::new(&zipped.body[..]).read_to_end(&mut unzipped).unwrap();
        assert_eq!((&unzipped, &zipped.headers["content-encoding"]), (&plain.body, &"gzip".parse().unwrap()));
        assert_eq!(ask(&table, &path, &[("accept-encoding", "gzip;q=0")]).await.body, plain.body);
        // A strong validator is of these bytes: the compressed copy's is another one.
        let (tag, zipped_tag) = (plain.headers["etag"].to_str().unwrap(), zipped.headers["etag"].to_str().unwrap());
        assert_ne!(tag, zipped_tag);
        for (has, accepts, status) in [
            (tag, "identity", 304),
            (&*format!("W/{tag}"), "identity", 304),
            (&*format!("\"other\", {tag}"), "identity", 304),
            ("*", "identity", 304),
            (zipped_tag, "gzip", 304),
            (zipped_tag, "identity", 200),
            ("\"other\"", "identity", 200),
        ] {
            let again = ask(&table, &path, &[("if-none-match", has), ("accept-encoding", accepts)]).await;
            assert_eq!((again.status, again.body.is_empty()), (status, status == 304), "{path} {has} {accepts}");
            assert!(again.headers.contains_key("etag") && again.headers.contains_key("content-security-policy"));
        }
    }
    // Another version's files are not this one's.
    for path in ["/ledger/assets/0123456789abcdef/ledger.js", "/ledger/assets/x/y", "/ledger/assets", "/favicon.ico"] {
        assert_eq!(ask(&table, path, &[]).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn the_page_is_small() {
    let table = Table::start().await;
    let mut size = 0;
    for path in assets(&table).await.into_iter().chain(["/ledger".to_owned()]) {
        size += ask(&table, &path, &[("accept-encoding", "gzip")]).await.body.len();
    }
    assert!(size < 60_000, "{size} bytes");
}

#[tokio::test]
async fn the_apps_are_those_whose_callbacks_are_received() {
    let table = sent().await;
    let apps = super::get(&api(&table), "/ledger/v1/apps").await.json();
    let expected = serde_json::json!({ "apps": [
        { "platform": "tencent-chat", "app_id": "1400000000" }, { "platform": "openim", "app_id": "openim" } ] });
    assert_eq!(apps, expected);
}

/// The texts of a language, by their keys.
fn texts(language: &str) -> BTreeMap<String, String> {
    let file = fs::read_to_string(format!("{FOLDER}/texts/{language}.js")).unwrap();
    let object = file.strip_prefix(&format!("export const {language} = ")).unwrap().trim_end();
    serde_json::from_str(object.strip_suffix(';').unwrap()).unwrap()
}

/// A key without the form of its number.
fn base(key: &str) -> &str {
    key.strip_suffix("_one").or_else(|| key.strip_suffix("_other")).unwrap_or(key)
}

/// The places for values in a text.
fn places(text: &str) -> BTreeSet<&str> {
    text.split('{').skip(1).map(|rest| rest.split_once('}').unwrap().0).collect()
}

#[test]
fn each_text_is_there_in_each_language_with_the_same_values() {
    let (en, zh) = (texts("en"), texts("zh"));
    let keys = |texts: &BTreeMap<String, String>| -> BTreeSet<String> {
        texts.keys().map(|key| base(key).to_owned()).collect()
    };
    assert_eq!(keys(&en), keys(&zh));
    for (key, text) in &zh {
        assert!(!text.is_empty() && !key.ends_with("_one"), "Chinese has one form for every number: {key}");
        let english = en.get(key).or_else(|| en.get(&format!("{}_other", base(key)))).unwrap();
        let (mut own, mut theirs) = (places(text), places(english));
        // “{first} and 2 others” is “{first} 等 3 人”, and not every text needs its number.
        for optional in ["count", "total"] {
            own.remove(optional);
            theirs.remove(optional);
        }
        assert_eq!(own, theirs, "{key}");
    }
    for key in en.keys().filter(|key| key.ends_with("_one")) {
        assert!(en.contains_key(&format!("{}_other", base(key))), "{key}");
    }
}

/// Every `t('key')` and `say('key')` of the scripts.
#[test]
fn each_text_that_the_scripts_name_exists() {
    let texts = texts("en");
    let bases: BTreeSet<&str> = texts.keys().map(|key| base(key)).collect();
    let mut named = 0;
    for file in fs::read_dir(format!("{FOLDER}/script")).unwrap() {
        let path = file.unwrap().path();
        let script = fs::read_to_string(&path).unwrap();
        for call in ["t('", "say('"] {
            let parts: Vec<&str> = script.split(call).collect();
            for pair in parts.windows(2) {
                // The end of another function's name.
                if pair[0].ends_with(|char: char| char.is_ascii_alphanumeric()) {
                    continue;
                }
                let key = pair[1].split('\'').next().unwrap();
                assert!(bases.contains(key), "{}: there is no text {key}", path.display());
                named += 1;
            }
        }
    }
    assert!(named > 100, "{named}");
}

#[test]
fn every_kind_has_its_sentences() {
    let script = fs::read_to_string(format!("{FOLDER}/script/sentences.js")).unwrap();
    for language in ["en", "zh"] {
        let texts = texts(language);
        for kind in Kind::ALL.map(Kind::as_str) {
            assert!(script.contains(&format!("  '{kind}': ")), "the table has no {kind}");
            let has = |voice: &str| {
                texts.keys().any(|key| base(key).starts_with(&format!("{kind}.")) && base(key).ends_with(voice))
            };
            assert!(has(".by") && has(".passive"), "{language} has no sentences for {kind}");
            // The filters leave no kind out.
            let family = kind.split('.').next().unwrap();
            let filters = script.split_once("const KINDS").unwrap().1.split_once("};").unwrap().0;
            assert!(filters.contains(&format!("'{kind}'")) || filters.contains(&format!("'{family}.*'")), "{kind}");
        }
    }
}

/// The modules are joined to one script, in which an import is what was exported before.
#[test]
fn each_module_imports_only_what_is_before_it() {
    let list = fs::read_to_string(format!("{FOLDER}/mod.rs")).unwrap();
    let modules: Vec<&str> = list
        .split("include_str!(\"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap())
        .filter(|path| Path::new(path).extension().is_some_and(|extension| extension == "js"))
        .collect();
    // The last is listed first, by itself.
    let (mut exported, mut read) = (BTreeMap::new(), BTreeSet::new());
    for module in &modules {
        let script = fs::read_to_string(format!("{FOLDER}/{module}")).unwrap();
        let imports = format!("\n{script}");
        for import in imports.split("\nimport ").skip(1) {
            let (names, rest) = import.strip_prefix('{').and_then(|import| import.split_once("} from '")).unwrap();
            let file = rest.split_once("';").unwrap().0.rsplit('/').next().unwrap();
            for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
                let by = exported.get(name).unwrap_or_else(|| panic!("{module}: {name} is not exported before it"));
                assert_eq!(by, file, "{module}: {name}");
            }
        }
        for line in script.lines() {
            if let Some(rest) = line.strip_prefix("export ") {
                let words: Vec<&str> = rest.split([' ', '(', '=']).filter(|word| !word.is_empty()).collect();
                let name = words[1..].iter().find(|word| !["function", "class"].contains(word)).unwrap();
                let file = module.rsplit('/').next().unwrap().to_owned();
                assert!(exported.insert((*name).to_owned(), file).is_none(), "{name} is exported twice");
            }
        }
        read.insert(module.rsplit('/').next().unwrap().to_owned());
    }
    let files = ["script", "texts"].into_iter().flat_map(|folder| fs::read_dir(format!("{FOLDER}/{folder}")).unwrap());
    let files: BTreeSet<String> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(read, files, "each module is in the list");
}
