//! `make deploy`, with a `sam` that only notes what it is asked for.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use group_ledger::platform::PLATFORMS;
use serde_norway::Value;
use tempfile::TempDir;

use crate::support::cloudformation::{PYTHON, function_ids};
use crate::support::{files, platform_of};

/// A checkout with nothing in it but what `make deploy` needs.
struct Checkout(TempDir);

/// What `make deploy` came to.
struct Deployed {
    is_done: bool,
    output: String,
    /// The commands that `sam` was called with.
    sam: Vec<String>,
    /// The functions' marks.
    marks: BTreeSet<String>,
}

impl Checkout {
    fn new() -> Self {
        let checkout = Self(TempDir::new().unwrap());
        for file in ["Makefile", "template.yaml", "samconfig.toml", "deploy/check.py", "deploy/stamp.py"] {
            checkout.write(file, &fs::read_to_string(file).unwrap());
        }
        checkout.write("parameters.yaml", "TencentSdkAppId: '1400000000'\n");
        checkout.write("code", "code");
        checkout.write("requirements.txt", "");
        checkout.write(".tools/ready", "");
        let python = fs::canonicalize(".").unwrap().join(PYTHON);
        assert!(python.exists(), "{PYTHON} is missing: `make tools` installs it");
        checkout.program("python", &format!("exec '{}' \"$@\"", python.display()));
        let functions = function_ids().into_values().collect::<Vec<_>>().join(" ");
        let build = "mkdir -p .aws-sam/build/$name; cp code .aws-sam/build/$name/bootstrap";
        let build = format!("for name in {functions}; do {build}; done; cp template.yaml .aws-sam/build/template.yaml");
        checkout.program("sam", &format!("echo \"$*\" >> sam.log\nif [ \"$1\" = build ]; then {build}; fi"));
        checkout
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.0.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn program(&self, name: &str, text: &str) {
        let file = format!(".tools/bin/{name}");
        self.write(&file, &format!("#!/bin/sh\n{text}\n"));
        fs::set_permissions(self.0.path().join(file), Permissions::from_mode(0o755)).unwrap();
    }

    /// Adds `text` to a file.
    fn append(&self, file: &str, text: &str) {
        let before = fs::read_to_string(self.0.path().join(file)).unwrap();
        self.write(file, &(before + text));
    }

    fn deploy(&self, variables: &[&str]) -> Deployed {
        let _ = fs::remove_dir_all(self.0.path().join(".aws-sam"));
        let _ = fs::remove_file(self.0.path().join("sam.log"));
        let mut make = Command::new("make");
        // What a `make test` around this one would pass on.
        for variable in ["MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES", "ARCHITECTURE", "SAM_DEPLOY", "STACK_NAME"] {
            make.env_remove(variable);
        }
        let output = make.arg("deploy").args(variables).current_dir(self.0.path()).output().unwrap();
        let built = fs::read_to_string(self.0.path().join(".aws-sam/build/template.yaml")).unwrap_or_default();
        let built: Value = serde_norway::from_str(&built).unwrap();
        let mark = |name: String| {
            let mark = &built["Resources"][name.as_str()]["Properties"]["AutoPublishCodeSha256"];
            mark.as_str().unwrap_or_default().to_owned()
        };
        Deployed {
            is_done: output.status.success(),
            output: String::from_utf8([output.stdout, output.stderr].concat()).unwrap(),
            sam: fs::read_to_string(self.0.path().join("sam.log"))
                .unwrap_or_default()
                .lines()
                .map(str::to_owned)
                .collect(),
            marks: if built.is_null() { BTreeSet::new() } else { function_ids().into_values().map(mark).collect() },
        }
    }

    /// Deploys, which must be rejected before anything is built; why it was.
    fn rejected(&self, variables: &[&str]) -> String {
        let deployed = self.deploy(variables);
        assert!(!deployed.is_done, "{}", deployed.output);
        assert_eq!(deployed.sam, [""; 0], "{}", deployed.output);
        deployed.output
    }

    /// The mark that all functions have.
    fn mark(&self, variables: &[&str]) -> String {
        let deployed = self.deploy(variables);
        assert!(deployed.is_done, "{}", deployed.output);
        assert_eq!(deployed.marks.len(), 1, "{:?}", deployed.marks);
        let mark = deployed.marks.first().unwrap().clone();
        assert_eq!(mark.len(), 64, "{mark}");
        mark
    }
}

/// A variable of the Makefile, as `make` has it with others.
fn variable(name: &str, others: &[&str]) -> String {
    let show = format!("--eval=show: ; @echo $({name})");
    make(&[&["--no-print-directory", &show, "show"], others].concat()).trim().to_owned()
}

/// What `make` prints in the checkout.
fn make(arguments: &[&str]) -> String {
    let mut make = Command::new("make");
    for variable in ["MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES"] {
        make.env_remove(variable);
    }
    String::from_utf8(make.args(arguments).output().unwrap().stdout).unwrap()
}

/// Where nothing is installed yet: the stack's Lambda API is cargo-lambda.
#[test]
fn a_first_run_installs_what_the_local_stack_starts() {
    let steps = make(&["--dry-run", "run", "TOOLS=/nonexistent"]);
    let [installed, built, started] =
        ["cargo-lambda\n", "cargo build", "examples/local\n"].map(|step| steps.find(step));
    assert!(installed.is_some() && installed < built && built < started, "{steps}");
}

#[test]
fn a_sample_is_for_the_function_that_its_name_begins_with() {
    for (sample, _) in files("events") {
        let function = &function_ids()[platform_of(&sample).name];
        assert_eq!(variable("EVENT_FUNCTION", &[&format!("EVENT=events/{sample}.json")]), *function, "{sample}");
    }
}

#[test]
fn every_platform_is_fuzzed() {
    let names: BTreeSet<String> = variable("PLATFORMS", &[]).split(' ').map(str::to_owned).collect();
    assert_eq!(names, PLATFORMS.map(|platform| platform.name.to_owned()).into());
}

#[test]
fn what_is_deployed_is_marked() {
    let checkout = Checkout::new();
    let mut marks = vec![checkout.mark(&["ARCHITECTURE=x86_64"])];
    assert_eq!(checkout.mark(&["ARCHITECTURE=x86_64"]), marks[0], "nothing has changed");
    marks.push(checkout.mark(&["ARCHITECTURE=arm64"]));
    for (file, text) in
        [("code", "new"), ("parameters.yaml", "TencentCallbackTokens: 'old'\n"), ("template.yaml", "# changed\n")]
    {
        checkout.append(file, text);
        marks.push(checkout.mark(&["ARCHITECTURE=arm64"]));
    }
    assert_eq!(marks.iter().collect::<BTreeSet<_>>().len(), 5, "a change has the mark of another: {marks:?}");
}

#[test]
fn sam_is_called_with_the_parameters_and_the_stacks_name() {
    let checkout = Checkout::new();
    let parameters = "file://parameters.yaml Architecture=arm64";
    assert_eq!(
        checkout.deploy(&["ARCHITECTURE=arm64"]).sam,
        [
            "build --parameter-overrides Architecture=arm64".to_owned(),
            format!("deploy --parameter-overrides {parameters}")
        ]
    );
    assert_eq!(
        checkout.deploy(&["ARCHITECTURE=arm64", "STACK_NAME=other"]).sam[1],
        format!("deploy --parameter-overrides {parameters} --stack-name other")
    );
}

#[test]
fn a_stack_name_too_long_for_the_functions_is_rejected() {
    let checkout = Checkout::new();
    let longest = "s".repeat(64 - "-tencent-chat".len());
    assert!(checkout.deploy(&[&format!("STACK_NAME={longest}")]).is_done);
    let rejected = checkout.rejected(&[&format!("STACK_NAME={longest}s")]);
    assert!(rejected.contains("It may have 51") && rejected.contains("STACK_NAME="), "{rejected}");

    let samconfig = fs::read_to_string("samconfig.toml").unwrap();
    checkout.write("samconfig.toml", &samconfig.replace("\"group-ledger\"", &format!("\"{longest}s\"")));
    let rejected = checkout.rejected(&[]);
    assert!(rejected.contains("It may have 51") && rejected.contains("samconfig.toml"), "{rejected}");
    assert!(checkout.deploy(&["STACK_NAME=short"]).is_done);
    let rejected = checkout.rejected(&["STACK_NAME=under_score"]);
    assert!(rejected.contains("letters, digits and hyphens"), "{rejected}");
}

#[test]
fn a_parameter_that_yaml_takes_for_no_text_is_rejected() {
    let checkout = Checkout::new();
    for (value, advice) in [
        ("true", "Quote it: TencentAllowUnsigned: '…'"),
        ("on", "Quote it"),
        ("off", "Quote it"),
        ("No", "Quote it"),
        ("0123", "Quote it"),
        ("1e5", "Quote it"),
        ("2026-11-21", "Quote it"),
        ("{{resolve:ssm:name}}", "Quote it"),
        ("[a, b]", "Quote it"),
        ("", "''"),
    ] {
        checkout.write("parameters.yaml", &format!("TencentAllowUnsigned: {value}\n"));
        let rejected = checkout.rejected(&[]);
        assert!(rejected.contains("TencentAllowUnsigned") && rejected.contains(advice), "{value}: {rejected}");
        assert!(value.len() < 4 || !rejected.contains(value), "{value} may be a secret: {rejected}");
        checkout.write("parameters.yaml", &format!("TencentAllowUnsigned: '{value}'\n"));
        assert!(checkout.deploy(&[]).is_done, "{value}");
    }
}

/// SAM leaves it out without a word.
#[test]
fn a_parameter_that_the_template_does_not_have_is_rejected() {
    let checkout = Checkout::new();
    checkout.write("parameters.yaml", "TencentCallbackToken: 'token'\n");
    assert!(checkout.rejected(&[]).contains("no parameter TencentCallbackToken"));
    fs::remove_file(checkout.0.path().join("parameters.yaml")).unwrap();
    assert!(checkout.rejected(&[]).contains("parameters.example.yaml"));
}
