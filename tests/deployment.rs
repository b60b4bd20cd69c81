//! The template, the manifest and the binaries are of one mind.

use std::fs;

use crate::template::Template;

#[test]
fn every_binary_is_a_function_and_every_function_a_binary() {
    let mut functions = Template::read().unwrap().binaries();
    let mut binaries: Vec<String> = fs::read_dir("src/bin")
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    functions.sort();
    binaries.sort();
    assert_eq!(functions, binaries);
}

/// `cargo lambda` writes `{*rest}` where API Gateway writes `{rest+}`.
#[test]
fn the_local_routes_are_the_deployed_ones() {
    let template: serde_norway::Value = serde_norway::from_str(&fs::read_to_string("template.yaml").unwrap()).unwrap();
    let manifest = fs::read_to_string("Cargo.toml").unwrap();
    let (_, router) = manifest.split_once("[package.metadata.lambda.watch.router]\n").unwrap();
    let mut local: Vec<String> = router.lines().take_while(|line| !line.is_empty()).map(str::to_owned).collect();
    let mut deployed = Vec::new();
    for function in template["Resources"].as_mapping().unwrap().values() {
        let Some(events) = function["Properties"].get("Events") else { continue };
        let binary = function["Metadata"]["BuildProperties"]["Binary"].as_str().unwrap();
        for event in events.as_mapping().unwrap().values() {
            let path = event["Properties"]["Path"].as_str().unwrap();
            deployed.push(format!("\"{}\" = \"{binary}\"", path.replace("{command+}", "{*command}")));
        }
    }
    local.sort();
    deployed.sort();
    assert_eq!(local, deployed);
}
