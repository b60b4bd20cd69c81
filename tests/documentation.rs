//! What the README promises is what the code does.

use std::fs;

use group_ledger::domain::rejection::Rejection;

fn readme() -> String {
    fs::read_to_string("README.md").unwrap()
}

#[test]
fn the_readme_lists_every_code_with_its_sentence() {
    let readme = readme();
    for rejection in Rejection::ALL {
        let row = format!("| {} | {} | {rejection} |", rejection.code(), rejection.status());
        assert!(readme.contains(&row), "the README has no row {row}");
    }
}

/// A rejection that the list leaves out would be in no test and in no documentation.
#[test]
fn the_list_of_rejections_is_whole() {
    let code = fs::read_to_string("src/domain/rejection.rs").unwrap();
    assert_eq!(code.matches("#[error(").count(), Rejection::ALL.len());
}

#[test]
fn codes_are_stable_and_no_two_rejections_share_one() {
    let codes: Vec<u32> = Rejection::ALL.map(Rejection::code).into();
    assert_eq!(
        codes,
        [
            40001, 40002, 40003, 40004, 40005, 40101, 40301, 40302, 40303, 40304, 40305, 40501, 41301, 41501, 50001,
            50301
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
