//! Each registered platform has everything that `docs/adding-a-platform.md` says: a test a step.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use group_ledger::ingest::read::verify;
use group_ledger::platform::{PLATFORMS, Registration};
use serde_json::{Value, json};

use super::{SET_UP, apis, function_id, functions, keys, prefix, stacks, strings, translated, whole_stack};
use crate::fuzz;
use crate::support::{change, files};

/// A folder's name, as a module of the code.
fn module(platform: &Registration) -> String {
    platform.name.replace('-', "_")
}

/// A resource as SAM translates it, with its references.
fn resource(id: &str) -> &'static Value {
    let resource = &translated()["all, AllAtOnce, no topic"]["Resources"][id];
    assert!(!resource.is_null(), "the template has no {id}");
    resource
}

/// The parameter that becomes a platform's setting.
pub(super) fn parameter(platform: &Registration, setting: &str) -> String {
    let function = resource(&function_id(platform));
    let value = &function["Properties"]["Environment"]["Variables"][setting];
    let parameter = value["Ref"].as_str().unwrap_or_else(|| panic!("{setting} is no parameter but {value}"));
    parameter.to_owned()
}

#[test]
fn every_folder_is_a_registered_platform() {
    let entries = fs::read_dir("src/platform").unwrap().map(|entry| entry.unwrap().path());
    let folders = entries.filter(|path| path.is_dir()).map(|path| path.file_name().unwrap().to_owned());
    let folders: BTreeSet<String> = folders.map(|name| name.into_string().unwrap()).collect();
    assert_eq!(folders, PLATFORMS.map(module).into());
}

#[test]
fn every_platform_has_its_rows_in_the_tests() {
    for platform in PLATFORMS {
        assert!(change(platform).path.starts_with(&format!("/{}", platform.name)));
    }
    assert_eq!(SET_UP.map(|set_up| set_up.platform).as_slice(), PLATFORMS.map(|platform| platform.name));
}

#[test]
fn every_platform_has_a_binary() {
    for platform in PLATFORMS {
        let file = format!("src/bin/{}.rs", platform.name);
        let code = fs::read_to_string(&file).unwrap_or_else(|_| panic!("there is no {file}"));
        let registration = format!("use group_ledger::platform::{}::REGISTRATION;", module(platform));
        assert!(code.contains(&registration) && code.contains("run(&REGISTRATION)"), "{file} runs another");
    }
}

/// The paths of a platform's route, and of the one with a command where it has that.
pub(super) fn paths<'p>(platform: &Registration, command: &'p str) -> impl Iterator<Item = String> + use<'p> {
    let path = format!("/{}", platform.name);
    let with_command = platform.command_in_path.then(|| format!("{path}/{command}"));
    [path].into_iter().chain(with_command)
}

#[test]
fn every_platform_has_its_local_routes_and_no_other_one_is_there() {
    let manifest = fs::read_to_string("Cargo.toml").unwrap();
    let (_, table) = manifest.split_once("[package.metadata.lambda.watch.router]\n").unwrap();
    let routes: BTreeSet<&str> = table.lines().take_while(|line| !line.is_empty()).collect();
    // `cargo lambda` writes `{*rest}` where API Gateway writes `{rest+}`.
    let route = |platform: &'static Registration| {
        paths(platform, "{*command}").map(|path| format!("\"{path}\" = \"{}\"", platform.name))
    };
    // The reader answers 404 to any other path; `cargo lambda` would wait forever.
    let reader = ["/ledger", "/ledger/{*path}", "/", "/{*path}"].map(|path| format!("\"{path}\" = \"reader\""));
    let wanted: BTreeSet<String> = PLATFORMS.into_iter().flat_map(route).chain(reader).collect();
    assert_eq!(routes, wanted.iter().map(String::as_str).collect());
}

#[test]
fn every_platform_has_its_function_with_its_routes() {
    let (api, _) = &apis(&whole_stack())["Callbacks"];
    let all_paths = api["Body"]["paths"].as_object().unwrap();
    for platform in PLATFORMS {
        let id = function_id(platform);
        let name = json!({ "Fn::Sub": format!("${{AWS::StackName}}-{}", platform.name) });
        assert_eq!(resource(&id)["Properties"]["FunctionName"], name);
        let leads_to_it = |methods: &Value| methods.to_string().contains(&format!("<{id}Alias"));
        let routes = all_paths.iter().filter(|(_, methods)| leads_to_it(methods));
        let routes: BTreeSet<String> = routes.map(|(path, _)| path.clone()).collect();
        assert_eq!(routes, paths(platform, "{command+}").collect(), "{}", platform.name);
        for path in routes {
            assert_eq!(keys(&all_paths[&path]), ["x-amazon-apigateway-any-method".to_owned()].into(), "{path}");
        }
    }
}

#[test]
fn every_platform_has_its_alarms_and_its_log() {
    for platform in PLATFORMS {
        let (prefix, condition) = (prefix(platform), &resource(&function_id(platform))["Condition"]);
        assert!(condition.is_string(), "{prefix}Function is there whether its platform is set up or not");
        for metric in ["Errors", "Throttles"] {
            let alarm = resource(&format!("{prefix}{metric}Alarm"));
            assert_eq!(&alarm["Condition"], condition, "{prefix}");
            assert_eq!(alarm["Properties"]["MetricName"], metric, "{prefix}");
            let dimensions = json!([{ "Name": "FunctionName", "Value": { "Ref": format!("{prefix}Function") } }]);
            assert_eq!(alarm["Properties"]["Dimensions"], dimensions, "{prefix}");
        }
        let log = resource(&format!("{prefix}Log"));
        assert_eq!(&log["Condition"], condition, "{prefix}");
        let group = &resource(&format!("{prefix}Function"))["Properties"]["LoggingConfig"]["LogGroup"];
        assert_eq!(*group, json!({ "Ref": format!("{prefix}Log") }), "{prefix}");
    }
}

/// And no other one has: a reference to what is not there would stop the deployment.
#[test]
fn every_platform_that_is_set_up_is_on_the_dashboard() {
    for (name, variant, stack) in stacks() {
        let dashboard = stack.resources_of("AWS::CloudWatch::Dashboard").remove(0);
        let body: Value = serde_json::from_str(dashboard.properties["DashboardBody"].as_str().unwrap()).unwrap();
        let widgets = body["widgets"].as_array().unwrap();
        let faults = widgets.iter().find(|widget| widget["properties"]["title"] == "Faults").unwrap();
        let metrics = faults["properties"]["metrics"].as_array().unwrap();
        let alarms = widgets.iter().find(|widget| widget["type"] == "alarm").unwrap();
        let alarms = strings(&alarms["properties"]["alarms"]);
        for platform in PLATFORMS {
            let prefix = prefix(platform);
            for metric in ["Errors", "Throttles"] {
                let shown = json!(["AWS/Lambda", metric, "FunctionName", format!("<{prefix}Function>")]);
                let is_shown = [metrics.contains(&shown), alarms.contains(&format!("<{prefix}{metric}Alarm.Arn>"))];
                assert_eq!(is_shown, [variant.platforms.contains(&platform.name); 2], "{name}: {prefix} {metric}");
            }
        }
    }
}

#[test]
fn every_platforms_url_is_an_output() {
    let outputs = whole_stack().outputs();
    for platform in PLATFORMS {
        let output = format!("{}CallbackUrl", prefix(platform));
        let url = outputs.get(&output).unwrap_or_else(|| panic!("there is no output {output}"));
        assert!(url.starts_with("https://") && url.ends_with(&format!("/{}", platform.name)), "{url}");
    }
}

/// The settings that only a platform's own function has.
fn own_settings(platform: &Registration) -> BTreeMap<String, Value> {
    let variables = |id: &str| resource(id)["Properties"]["Environment"]["Variables"].as_object().unwrap().clone();
    let common = variables("ReplayFunction");
    let own = variables(&function_id(platform)).into_iter();
    own.filter(|(name, _)| !common.contains_key(name)).collect()
}

#[test]
fn every_platforms_settings_are_parameters_that_are_shown_and_documented() {
    let readme = fs::read_to_string("README.md").unwrap();
    let template = &translated()["all, AllAtOnce, no topic"];
    let groups = template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"].as_array().unwrap();
    for platform in PLATFORMS {
        let settings = own_settings(platform);
        let registered: BTreeSet<&str> = platform.settings.iter().copied().collect();
        let given: BTreeSet<&str> = settings.keys().map(String::as_str).collect();
        assert_eq!(
            registered, given,
            "{}: the registered settings, and those that its function is given",
            platform.name
        );
        let needed = platform.sample_app.iter().map(|(name, _)| *name);
        for name in needed.chain([platform.secrets, platform.allow_anybody]) {
            assert!(registered.contains(name), "{}: {name} is no registered setting", platform.name);
        }
        let parameters: BTreeSet<String> = settings.keys().map(|name| parameter(platform, name)).collect();
        let is_its = |group: &&Value| strings(&group["Parameters"]) == parameters;
        assert!(
            groups.iter().any(|group| is_its(&group)),
            "no group of parameters has {parameters:?}, and no other one"
        );
        for setting in settings.keys() {
            let row = format!("| `{}` | `{setting}` | ", parameter(platform, setting));
            assert!(readme.contains(&row), "the README has no row {row}");
        }
    }
}

#[test]
fn every_platforms_concurrency_can_be_reserved() {
    let functions = functions(&whole_stack());
    for platform in PLATFORMS {
        let set_up = SET_UP.into_iter().find(|set_up| set_up.platform == platform.name).unwrap();
        let (parameter, reserved) =
            set_up.with_secrets.iter().find(|(name, _)| name.ends_with("ReservedConcurrency")).unwrap();
        assert_eq!(functions[platform.name]["ReservedConcurrentExecutions"], *reserved, "{parameter}");
    }
}

#[test]
fn every_platform_has_samples_and_cases() {
    let samples = files("events");
    for platform in PLATFORMS {
        let name = platform.name;
        let has_sample = samples.iter().any(|(sample, _)| sample.starts_with(&format!("{name}-")));
        assert!(has_sample, "there is no events/{name}-….json");
        assert!(Path::new(&format!("tests/cases/{name}.jsonl")).is_file(), "there is no tests/cases/{name}.jsonl");
        // `commands::every_row_is_true` holds docs/protocol.md to them.
        assert!(Path::new(&format!("tests/commands/{name}")).is_dir(), "there is no tests/commands/{name}");
    }
    // What is of no platform is sent by nobody.
    for (sample, _) in samples {
        let is_of = |platform: &&Registration| sample.starts_with(&format!("{}-", platform.name));
        assert_eq!(PLATFORMS.iter().filter(|platform| is_of(platform)).count(), 1, "events/{sample}.json");
    }
}

#[test]
fn every_recorded_command_has_a_sample() {
    for platform in PLATFORMS {
        let samples: BTreeSet<String> =
            files(&format!("tests/commands/{}", platform.name)).into_iter().map(|(name, _)| name).collect();
        for command in platform.commands {
            assert!(
                samples.contains(command.name),
                "there is no tests/commands/{}/{}.json",
                platform.name,
                command.name
            );
        }
    }
}

#[test]
fn every_platform_has_something_to_fuzz_from() {
    let folders = fs::read_dir("fuzz/corpus").unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let names = PLATFORMS.map(|platform| platform.name.to_owned()).into_iter().chain(["event".to_owned()]);
    assert_eq!(folders.collect::<BTreeSet<_>>(), names.collect());
    for platform in PLATFORMS {
        let [open, closed] = fuzz::platforms(platform);
        let mut genuine = 0;
        for entry in fs::read_dir(format!("fuzz/corpus/{}", platform.name)).unwrap() {
            let path = entry.unwrap().path();
            let bytes = fs::read(&path).unwrap();
            let request = fuzz::request(&bytes).unwrap_or_else(|| panic!("{} is no request", path.display()));
            fuzz::run(&*open, &request);
            fuzz::run(&*closed, &request);
            genuine += usize::from(verify(&*closed, &request).is_ok());
        }
        assert!(genuine > 0, "nothing in the corpus of {} has the fuzz targets' secret", platform.name);
    }
}
