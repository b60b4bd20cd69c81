//! The sentences, for people to read.

use std::collections::BTreeSet;

use group_ledger::domain::change::Kind;
use group_ledger::platform::PLATFORMS;
use serde_json::Value;

use super::driver::{Browser, View};
use super::{TOKEN, deliver, demo, end, open, stack};
use crate::cases::recorded;
use crate::support::Sent;

/// The bytes of a request.
fn bytes(sent: &Sent) -> Vec<u8> {
    let Sent { method, path, query, headers, body, .. } = sent;
    let headers =
        headers.iter().filter(|(name, _)| ["authorization", "content-type", "operationid"].contains(&name.as_str()));
    let headers: Vec<_> = headers.map(|(name, value)| format!("{name}: {}\r\n", value.as_str().unwrap())).collect();
    let headers = headers.concat();
    let head = format!(
        "{method} {path}?{query} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {}\r\n{headers}\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// The sentences of the whole list, newest first.
async fn sentences(browser: &Browser) -> Vec<String> {
    browser.wait_for(".feed .sentence").await;
    browser.wait_until("(more => more.hidden || (more.click(), false))(document.querySelector('.more'))").await;
    let script = "return [...document.querySelectorAll('.feed .sentence')].map(node => node.textContent);";
    let Value::Array(sentences) = browser.evaluate(script).await else { panic!("no list") };
    sentences.iter().map(|sentence| sentence.as_str().unwrap().to_owned()).collect()
}

/// Of each recorded case and of the demo's week.
#[tokio::test]
async fn the_sentences_of_every_kind_can_be_read_in_both_languages() {
    let stack = stack().await;
    for sent in PLATFORMS.into_iter().flat_map(|platform| recorded(platform.name)) {
        deliver(&stack, &bytes(&sent)).await;
    }
    demo(&stack).await;
    let browser = Browser::open(View::DESKTOP).await;
    open(&browser, &stack, "").await;
    let english = sentences(&browser).await;
    browser.evaluate("sessionStorage.setItem('group-ledger.language', 'zh-CN');").await;
    browser.reload().await;
    let chinese = sentences(&browser).await;
    let script = format!(
        "const kinds = [];
        const from = new Date(Date.now() - 86_400_000).toISOString();
        for (let place = `from=${{from}}`, more = true; more;) {{
            const url = `ledger/v1/feed?order=desc&limit=500&${{place}}`;
            const page = await (await fetch(url, {{ headers: {{ Authorization: 'Bearer {TOKEN}' }} }})).json();
            kinds.push(...page.changes.map(change => change.kind));
            place = `after=${{encodeURIComponent(page.next)}}`;
            more = page.more;
        }}
        return kinds;"
    );
    let kinds = browser.evaluate(&format!("return (async () => {{ {script} }})();")).await;
    let kinds: Vec<&str> = kinds.as_array().unwrap().iter().map(|kind| kind.as_str().unwrap()).collect();
    assert_eq!([english.len(), chinese.len()], [kinds.len(); 2]);
    assert_eq!(kinds.iter().copied().collect::<BTreeSet<_>>(), Kind::ALL.iter().map(|kind| kind.as_str()).collect());
    let lines = kinds.iter().zip(&english).zip(&chinese);
    let lines: BTreeSet<String> =
        lines.map(|((kind, english), chinese)| format!("{kind} | {english} | {chinese}")).collect();
    let lines: Vec<String> = lines.into_iter().collect();
    insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!("sentences", lines.join("\n"));
    });
    browser.assert_quiet(&[]).await;
    end(stack).await;
}
