//! What the README promises is what the code does.

use std::collections::BTreeSet;
use std::fs;

use group_ledger::domain::rejection::Rejection;
use group_ledger::platform::PLATFORMS;
use regex_lite::Regex;
use serde_json::Value;

fn readme() -> String {
    fs::read_to_string("README.md").unwrap()
}

/// The shared rejections, and those of each platform.
fn all_rejections() -> Vec<Rejection> {
    let own = PLATFORMS.into_iter().flat_map(|platform| platform.rejections.iter().copied());
    Rejection::SHARED.into_iter().chain(own).collect()
}

#[test]
fn the_readme_lists_every_code_with_its_sentence() {
    for file in ["README.md", "README.zh-CN.md"] {
        let readme = fs::read_to_string(file).unwrap();
        for rejection in all_rejections() {
            let row = format!("| {} | {} | {rejection} |", rejection.code(), rejection.status().as_str());
            assert!(readme.contains(&row), "{file} has no row {row}");
        }
    }
}

#[test]
fn codes_are_stable_and_no_two_rejections_share_one() {
    let mut codes: Vec<u32> = all_rejections().into_iter().map(Rejection::code).collect();
    codes.sort_unstable();
    assert_eq!(
        codes,
        [
            40001, 40002, 40003, 40004, 40005, 40101, 40301, 40302, 40303, 40304, 40305, 40501, 40801, 41301, 41501,
            50001, 50301, 50302
        ]
    );
}

#[test]
fn the_readme_lists_every_setting_of_the_template() {
    let (readme, template) = (readme(), fs::read_to_string("template.yaml").unwrap());
    let template: serde_norway::Value = serde_norway::from_str(&template).unwrap();
    for name in template["Parameters"].as_mapping().unwrap().keys() {
        let name = name.as_str().unwrap();
        assert!(readme.contains(&format!("`{name}`")), "the README does not mention the parameter {name}");
    }
}

struct Section {
    level: String,
    heading: String,
    /// What a translation does not change: code, images, where links lead, figures with a point, a comma or a `$`, and a `|` for each
    /// row of a table. Their order may change, as a sentence's does.
    kept: Vec<String>,
}

fn sections(file: &str) -> Vec<Section> {
    let page = fs::read_to_string(file).unwrap();
    let token = Regex::new(concat!(
        r"(?ms)^```.*?^```$|^(?P<level>#+) (?P<heading>[^\n]+)$|^\||(?P<image>!?)\[[^\]]*\]\((?P<target>[^)]+)\)",
        r"|<http[^>]+>|`[^`]+`|\$?\d+(?:[.,]\d+)+|\$\d+"
    ));
    let mut sections: Vec<Section> = Vec::new();
    for token in token.unwrap().captures_iter(&page) {
        if let Some(level) = token.name("level") {
            let (level, heading) = (level.as_str().to_owned(), token["heading"].to_owned());
            sections.push(Section { level, heading, kept: Vec::new() });
        } else {
            // Of the links, only those from one language to the other differ.
            let link = token.name("target").map(|target| target.as_str().replace("README.zh-CN.md", "README.md"));
            let kept = link.map_or_else(|| token[0].to_owned(), |link| format!("{}{link}", &token["image"]));
            sections.last_mut().unwrap().kept.push(kept);
        }
    }
    let anchors: Vec<String> = sections.iter().map(|section| anchor(&section.heading)).collect();
    for link in sections.iter_mut().flat_map(|section| &mut section.kept).filter(|kept| kept.starts_with('#')) {
        let number = anchors.iter().position(|anchor| anchor == link);
        *link = format!("link to heading {}", number.unwrap_or_else(|| panic!("{file} has no heading for {link}")));
    }
    sections
}

/// A heading's link, as GitHub makes it.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|char| char.is_alphanumeric() || " -_".contains(*char));
    format!("#{}", kept.collect::<String>().to_lowercase().replace(' ', "-"))
}

/// What is in `these` more often than in `others`.
fn without(these: &[String], others: &[String]) -> Vec<String> {
    let mut rest = these.to_vec();
    for that in others {
        if let Some(place) = rest.iter().position(|this| this == that) {
            rest.remove(place);
        }
    }
    rest
}

#[test]
fn the_chinese_readme_has_what_the_english_one_has_under_each_heading() {
    let (english, chinese) = (sections("README.md"), sections("README.zh-CN.md"));
    for (english, chinese) in english.iter().zip(&chinese) {
        let place = format!("{} ({})", english.heading, chinese.heading);
        assert_eq!(english.level, chinese.level, "the levels of the heading {place}");
        let (missing, added) = (without(&english.kept, &chinese.kept), without(&chinese.kept, &english.kept));
        let is_equal = missing.is_empty() && added.is_empty();
        assert!(is_equal, "{place}: only README.md has {missing:#?}, only README.zh-CN.md has {added:#?}");
    }
    assert_eq!(english.len(), chinese.len(), "the numbers of headings");
}

/// A step whose test is called otherwise by now would be taken for done.
#[test]
fn the_tests_that_a_step_of_adding_a_platform_names_are_there() {
    let page = fs::read_to_string("docs/adding-a-platform.md").unwrap();
    let words = page.split('`').skip(1).step_by(2);
    let tests = words.filter_map(|word| word.rsplit_once("::")).filter(|(_, test)| test.contains('_'));
    let tests: Vec<_> = tests.collect();
    assert!(tests.len() > 30, "{tests:?}");
    for (module, test) in tests {
        let file = format!("tests/{}.rs", module.replace("::", "/"));
        let code = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(code.contains(&format!("fn {test}()")), "{file} has no test {test}");
    }
}

/// The consumer that is shown is the one that runs.
#[test]
fn the_documentation_shows_the_consumer_that_is_there() {
    let documentation = fs::read_to_string("docs/reading.md").unwrap();
    let consumer = fs::read_to_string("examples/follow.py").unwrap();
    assert!(
        documentation.contains(&format!("```python\n{consumer}```")),
        "docs/reading.md shows another examples/follow.py"
    );
}

/// The stack that is shown is the one that is validated.
#[test]
fn the_documentation_shows_the_stack_of_a_consumer_that_is_there() {
    let documentation = fs::read_to_string("docs/publishing.md").unwrap();
    let consumer = fs::read_to_string("examples/publishing/consumer.yaml").unwrap();
    assert!(
        documentation.contains(&format!("```yaml\n{consumer}```")),
        "docs/publishing.md shows another examples/publishing/consumer.yaml"
    );
}

/// An event's detail is the change of the reader's API, and why it is without `change`.
#[test]
fn the_schema_of_events_is_that_of_the_api() {
    let schema = fs::read_to_string("docs/publishing/event.schema.json").unwrap();
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let description = serde_json::to_value(group_ledger::reading::api::description()).unwrap();
    let own = &description["components"]["schemas"]["Change"];
    let names = |schema: &Value| schema["properties"].as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    let mut of_api = names(own);
    // The history adds what was before.
    assert!(of_api.remove("previous"));
    of_api.insert("change_omitted".to_owned());
    let of_events = &schema["$defs"]["change"];
    assert_eq!(names(of_events), of_api);
    let required = |schema: &Value| {
        let required = schema["required"].as_array().unwrap().iter();
        required.map(|name| name.as_str().unwrap().to_owned()).collect::<BTreeSet<_>>()
    };
    assert_eq!(required(of_events), required(own));
}

#[test]
fn the_documentation_of_reading_names_every_parameter() {
    let documentation = fs::read_to_string("docs/reading.md").unwrap();
    let description = serde_json::to_value(group_ledger::reading::api::description()).unwrap();
    for (path, route) in description["paths"].as_object().unwrap() {
        for parameter in route["get"]["parameters"].as_array().into_iter().flatten() {
            let name = parameter["name"].as_str().unwrap();
            assert!(documentation.contains(name), "docs/reading.md does not mention {name} of {path}");
        }
    }
}

/// Of the run that `make bench` wrote, over TLS; medians.
#[test]
fn the_readme_has_the_figures_of_the_benchmark() {
    let figures: Value = serde_json::from_str(&fs::read_to_string("docs/performance/figures.json").unwrap()).unwrap();
    let median = |figure: &str, of: &str| {
        let starts = figures["tls"][figure][of].as_array().unwrap();
        let mut starts: Vec<f64> = starts.iter().map(|start| start.as_f64().unwrap()).collect();
        starts.sort_by(f64::total_cmp);
        starts[starts.len() / 2]
    };
    let of = |figure| ["tencent-chat", "Node 20, SDK v3", "Python 3, boto3"].map(|of| median(figure, of));
    let [own, node, python] = of("start and first callback ms");
    let first = format!("answered its first callback after {own:.0} ms (Node {node:.0} ms, Python {python:.0} ms)");
    let [own, node, python] = of("warm, CPU a callback ms");
    let warm = format!("takes {own:.2} ms of processor time ({node:.1} and {python:.1} ms)");
    let readme = readme().split_whitespace().collect::<Vec<_>>().join(" ");
    for sentence in [first, warm] {
        assert!(readme.contains(&sentence), "{sentence}");
    }
}
