//! Names that want to be more than names, in every place where a name can stand.

use serde_json::{Value, json};

use super::driver::{Browser, View};
use super::{deliver, end, group_at, open, openim, stack, tencent, wait_for_count};
use crate::local::Stack;
use crate::support::post;

const ID: &str = "@TGS#hostile";
const GROUP: &str = "tencent-chat#1400000000#@TGS#hostile";
const NASTY: [&str; 36] = [
    "<script>window.ran = 1</script>",
    "<img src=x onerror='window.ran = 1'>",
    "<svg onload=alert(1)>",
    "<iframe srcdoc='<script>parent.ran = 1</script>'></iframe>",
    "\"><b onmouseover=\"window.ran = 1\">b</b>",
    "' autofocus onfocus='window.ran = 1",
    "<style>* { display: none }</style>",
    "<!-- ",
    "</bdi></span></li></ol></main>",
    "]]>",
    "&lt;b&gt;&amp;&#60;",
    "javascript:window.ran=1",
    "data:text/html,<script>alert(1)</script>",
    "{operator}",
    "{count} {name} {members}",
    "${window.ran = 1}",
    "{{constructor.constructor('window.ran = 1')()}}",
    "<%= 1 %> #{1} %s %n",
    "__proto__",
    "constructor",
    "toString",
    "hasOwnProperty",
    "\u{202e}txt.exe",
    "\u{200f}\u{2067}שלום\u{2066}",
    "مرحبا بالعالم",
    "👩‍👩‍👧‍👦🏳️‍🌈",
    "e\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}",
    "a\u{200b}b\u{feff}c\u{2060}",
    "\u{1}\u{8}\u{1b}[31m\u{7f}\u{85}",
    "line\nbreak\r\n\ttab",
    " ",
    "\u{3000}\u{a0}",
    "\\u003cscript\\u003e\\",
    "quotes \"'`“”",
    "../../etc/passwd#?&=%00%zz+",
    "null",
];

/// Names without an end: each of the table, then each with something before and after, and long ones.
struct Names {
    given: usize,
}

impl Names {
    fn next(&mut self) -> String {
        let number = self.given;
        self.given += 1;
        let nasty = NASTY[number % NASTY.len()];
        match number / NASTY.len() {
            0 => nasty.to_owned(),
            _ if number.is_multiple_of(61) => format!("{nasty} {number} ").repeat(10_000 / (nasty.len() + 4)),
            _ if number.is_multiple_of(67) => format!("{number}{}", "W".repeat(10_000)),
            round if round % 2 == 0 => format!("{nasty}{number}"),
            _ => format!("{number}{nasty}"),
        }
    }

    fn list(&mut self, count: usize) -> Vec<String> {
        (0..count).map(|_| self.next()).collect()
    }

    fn users(&mut self, count: usize) -> Vec<Value> {
        self.list(count).into_iter().map(|name| json!({ "Member_Account": name })).collect()
    }

    fn pairs(&mut self, count: usize) -> Vec<Value> {
        (0..count).map(|_| json!({ "Key": self.next(), "Value": self.next() })).collect()
    }
}

/// Sends changes with names wherever a name can be, nearly all about one group; how many names.
async fn send_names(stack: &Stack) -> usize {
    let names = &mut Names { given: 0 };
    // Each of the table as a key, a value, a user and a group of its own.
    let table = |make: fn(&str) -> Value| NASTY.iter().map(|name| make(name)).collect::<Vec<_>>();
    let created = json!({ "Name": names.next(), "Owner_Account": names.next(), "Operator_Account": names.next(),
        "Type": names.next(), "Introduction": names.next(), "Notification": names.next(), "FaceUrl": names.next(),
        "MemberList": table(|name| json!({ "Member_Account": name })),
        "UserDefinedDataList": table(|name| json!({ "Key": name, "Value": name })), "EventTime": 1_715_049_600_000_i64 });
    deliver(stack, &tencent("CallbackAfterCreateGroup", ID, created)).await;
    let attributes = table(|name| json!({ "key": name, "value": name }));
    let body = json!({ "OptionType": "set", "GroupAttr": attributes, "Operator_Account": "constructor" });
    deliver(stack, &tencent("CallbackAfterGroupAttrChanged", ID, body)).await;
    // What every object of JavaScript has, where a table is looked into.
    for word in ["__proto__", "constructor", "toString"] {
        for (command, mut body) in [
            ("AfterMemberFieldChanged", json!({ "Member_Account": word, "Role": word })),
            ("OnMemberStateChange", json!({ "EventType": word, "MemberList": [{ "Member_Account": word }] })),
        ] {
            body["EventTime"] = json!(1_715_049_650_000_i64);
            deliver(stack, &tencent(&format!("Callback{command}"), ID, body)).await;
        }
    }
    for (number, word) in NASTY.iter().enumerate().take(8) {
        for (command, body) in [
            ("AfterGroupInfoChanged", json!({ "Name": names.next(), "Introduction": names.next() })),
            ("AfterGroupInfoChanged", json!({ "Notification": names.next() })),
            ("AfterGroupInfoChanged", json!({ "FaceUrl": names.next(), "UserDefinedDataList": names.pairs(3) })),
            ("AfterChangeGroupOwner", json!({ "OldOwner_Account": names.next(), "NewOwner_Account": names.next() })),
            ("AfterGroupAttrChanged", json!({ "OptionType": names.next(), "GroupAttr": names.pairs(3) })),
            ("AfterGroupAttrChanged", json!({ "OptionType": "modify", "GroupAttr": names.pairs(4) })),
            ("AfterNewMemberJoin", json!({ "JoinType": names.next(), "NewMemberList": names.users(3) })),
            ("AfterNewMemberJoin", json!({ "JoinType": "Invited", "NewMemberList": names.users(1) })),
            ("AfterMemberExit", json!({ "ExitType": names.next(), "ExitMemberList": names.users(2) })),
            ("AfterMemberFieldChanged", json!({ "Member_Account": names.next(), "NameCard": names.next() })),
            ("AfterMemberFieldChanged", json!({ "Member_Account": names.next(), "Role": names.next() })),
            (
                "OnMemberStateChange",
                json!({ "EventType": names.next(), "EventCause": names.next(), "MemberList": names.users(1) }),
            ),
            ("AfterCreateTopic", json!({ "TopicId": names.next(), "Name": names.next() })),
            ("AfterTopicInfoChanged", json!({ "TopicId": names.next(), "Name": names.next() })),
            ("AfterTopicInfoChanged", json!({ "TopicId": names.next(), "Notification": names.next() })),
            ("AfterTopicDestroyed", json!({ "TopicIdList": names.list(2) })),
        ] {
            let mut body = body;
            body["Operator_Account"] = json!(names.next());
            body["EventTime"] = json!(1_715_049_700_000_i64 + i64::try_from(names.given).unwrap());
            deliver(stack, &tencent(&format!("Callback{command}"), ID, body)).await;
        }
        let name = names.next();
        let encoded: String = form_urlencoded::byte_serialize(name.get(..200).unwrap_or("x").as_bytes()).collect();
        let command = format!("Group.CallbackAfter{word}{number}");
        let body = json!({ "CallbackCommand": command, "GroupId": ID }).to_string();
        let command: String = form_urlencoded::byte_serialize(command.as_bytes()).collect();
        let path = format!(
            "/tencent-chat?SdkAppid=1400000000&CallbackCommand={command}&OptPlatform={encoded}&ClientIP={encoded}"
        );
        deliver(stack, &post(&path, &body)).await;
        let id = json!(names.next());
        let joined = json!({ "groupID": id, "userID": names.next(), "reqMessage": names.next() });
        let joined = String::from_utf8(openim("JoinGroup", &joined)).unwrap();
        // A header takes no line break, and no more than a line.
        let operation: String = word.chars().filter(|char| !char.is_control()).collect();
        let host = "Host: 127.0.0.1\r\n";
        deliver(stack, joined.replacen(host, &format!("{host}operationID: {operation}\r\n"), 1).as_bytes()).await;
        deliver(
            stack,
            &openim("KickGroup", &json!({ "groupID": id, "kickedUserIDs": [names.next()], "reason": names.next() })),
        )
        .await;
    }
    for group in NASTY {
        deliver(stack, &openim("SetGroupInfo", &json!({ "groupID": format!("g{group}"), "groupName": names.next() })))
            .await;
    }
    names.given + 4 * NASTY.len()
}

/// What must not be there; what is wider or higher than it may be.
const PROBLEMS: &str = "
    const problems = window.ran === undefined ? [] : ['something ran'];
    for (const node of document.querySelectorAll('main *')) {
        const is_active = node.matches('script, img, iframe, svg, style, object, embed, link, b, base, meta');
        const attributes = [...node.attributes].filter(({ name, value }) =>
            name.startsWith('on') || ['src', 'srcdoc'].includes(name) || name === 'href' && !value.startsWith('#/')
            // The list estimates the height of a day that is out of view.
            || name === 'style' && !/^contain-intrinsic-size: auto [0-9]+px;$/.test(value));
        if (is_active || attributes.length > 0) problems.push(node.outerHTML.slice(0, 300));
    }
    const { scrollWidth } = document.documentElement;
    if (scrollWidth > innerWidth) {
        const wide = [...document.querySelectorAll('main *')].filter(node => node.getBoundingClientRect().right > innerWidth);
        problems.push(`${scrollWidth} px wide: ${wide.slice(0, 3).map(node => node.outerHTML.slice(0, 300))}`);
    }
    for (const row of document.querySelectorAll('.changes > li, .values dd, .members > li')) {
        const closed = row.querySelector('summary') ?? row;
        const { height } = closed.getBoundingClientRect();
        if (height > 480) problems.push(`${height} px high: ${closed.outerHTML.slice(0, 300)}`);
    }
    const { textContent: said } = document.querySelector('main');
    const broken = /function |\\[object |native code|undefined/.exec(said);
    if (broken) problems.push(`says ${said.slice(Math.max(0, broken.index - 80), broken.index + 80)}`);
    return problems;";

async fn assert_harmless(browser: &Browser, what: &str) {
    assert_eq!(browser.evaluate(PROBLEMS).await, json!([]), "{what}");
}

/// The text of an element as it came, with the characters that are shown by their number.
fn shown(selector: &str) -> String {
    format!(
        "(() => {{
            const copy = document.querySelector('{selector}').cloneNode(true);
            for (const node of copy.querySelectorAll('.unseen'))
                node.replaceWith(String.fromCodePoint(parseInt(node.textContent.slice(2), 16)));
            return copy.textContent;
        }})()"
    )
}

#[tokio::test]
async fn hostile_names_are_text_wherever_they_stand() {
    let stack = stack().await;
    let count = send_names(&stack).await;
    assert!(count >= 500, "{count}");
    let look = async |view: View| {
        let browser = Browser::open(view).await;
        let traps = "for (const name of ['alert', 'confirm', 'prompt', 'print', 'open']) window[name] = () => { window.ran = name; };";
        browser.cdp("Page.addScriptToEvaluateOnNewDocument", json!({ "source": traps })).await;
        open(&browser, &stack, "#/now").await;
        browser.wait_for(".feed li").await;
        browser.wait_until("(more => more.hidden || (more.click(), false))(document.querySelector('.more'))").await;
        assert_harmless(&browser, "now").await;
        browser.evaluate(&format!("location.hash = {};", json!(group_at(GROUP, &[])))).await;
        browser.wait_for(".history .changes > li").await;
        browser
            .wait_until("(more => more.hidden || (more.click(), false))(document.querySelector('.history .more'))")
            .await;
        browser
            .wait_until("(more => more.hidden || (more.click(), false))(document.querySelector('.panel .more'))")
            .await;
        assert_harmless(&browser, "the group").await;
        let text = browser.evaluate(&format!("return {};", shown(".panel"))).await;
        let text = text.as_str().unwrap();
        for name in NASTY.iter().filter(|name| !name.trim().is_empty() && name.chars().count() <= 24) {
            assert!(text.contains(name), "{name:?} is not seen as it is");
        }
        for code in ["U+202E", "U+200B", "U+0001", "U+0085"] {
            let script = format!(
                "return [...document.querySelectorAll('.panel .unseen')].some(node => node.textContent === '{code}');"
            );
            assert_eq!(browser.evaluate(&script).await, true, "{code}");
        }
        // The bodies of twenty, among them the creation's.
        browser
            .evaluate("for (const node of [...document.querySelectorAll('.changes summary')].slice(-20)) node.click();")
            .await;
        wait_for_count(&browser, ".details pre", 20).await;
        assert_harmless(&browser, "the details").await;
        // A group whose id is hostile.
        for group in NASTY {
            let key = format!("openim#openim#g{group}");
            browser.evaluate(&format!("location.hash = {};", json!(group_at(&key, &[])))).await;
            let is_there = format!(
                "document.querySelector('.heading .id') && {} === {}",
                shown(".heading .id"),
                json!(format!("g{group}"))
            );
            if group.chars().count() < 40 {
                browser.wait_until(&is_there).await;
            }
        }
        assert_harmless(&browser, "a group of its own").await;
        browser.assert_quiet(&[]).await;
    };
    tokio::join!(look(View::DESKTOP), look(View::PHONE));
    end(stack).await;
}
