//! Whatever changed, the version that answers has it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::support::cloudformation::{Deployment, Stack, function_ids, parameters, translate};

/// The parameters of a deployment; the second ones are those of `--parameter-overrides` of somebody's own.
const PARAMETERS: [&[(&str, &str)]; 3] = [
    &[
        ("TencentSdkAppId", "1400000000"),
        ("TencentCallbackTokens", "old"),
        ("OpenImCredentials", "user:password"),
        ("ReaderTokens", "alice:0123456789abcdef"),
        ("EventBusArn", "arn:aws:events:us-east-1:123456789012:event-bus/groups"),
    ],
    &[
        ("TencentSdkAppId", "1400000000"),
        ("TencentCallbackTokens", "new"),
        ("OpenImCredentials", "user:password"),
        ("ReaderTokens", "alice:0123456789abcdef"),
        ("EventBusArn", "arn:aws:events:us-east-1:123456789012:event-bus/groups"),
    ],
    &[
        ("TencentSdkAppId", "1"),
        ("TencentAllowUnsigned", "true"),
        ("OpenImCredentials", "u:p"),
        ("LogRetentionDays", "7"),
        ("ReaderTokens", "bob:0123456789abcdef"),
        ("EventBusArn", "arn:aws:events:us-east-1:123456789012:event-bus/groups"),
    ],
];

/// A deployment, and what a stack gets of it.
struct Step {
    name: String,
    deployment: Deployment,
    versions: BTreeSet<String>,
    /// What Lambda compares: it publishes no version of a function that is as it was.
    functions: Map<String, Value>,
}

/// Each code with each parameters, by `make deploy` (which marks code and parameters) and by `sam deploy` alone.
fn steps() -> Vec<Step> {
    let mut deployments = BTreeMap::new();
    for code in ["a", "b"] {
        for (index, pairs) in PARAMETERS.iter().enumerate() {
            for stamp in [None, Some(format!("{code}{index}{}", "0".repeat(62)))] {
                let name = format!("{} {code} {index}", if stamp.is_some() { "make" } else { "sam" });
                let deployment = Deployment { code: code.to_owned(), stamp, parameters: parameters(pairs) };
                deployments.insert(name, deployment);
            }
        }
    }
    let (templates, _) = translate(&deployments, &[]);
    let step = |(name, deployment): (String, Deployment)| {
        let stack = Stack::new(&templates[&name], &deployment.parameters);
        let versions = stack.resources_of("AWS::Lambda::Version").into_iter().map(|version| version.id).collect();
        let functions = stack.resources_of("AWS::Lambda::Function").into_iter();
        let functions = functions.map(|function| (function.id, function.properties)).collect();
        Step { name, deployment, versions, functions }
    };
    deployments.into_iter().map(step).collect()
}

#[test]
fn new_code_is_a_new_version_however_it_is_deployed() {
    let steps = steps();
    for before in &steps {
        assert_eq!(before.versions.len(), function_ids().len(), "{}: a version a function", before.name);
        for after in steps.iter().filter(|after| after.deployment.code != before.deployment.code) {
            assert!(after.versions.is_disjoint(&before.versions), "{} after {}", after.name, before.name);
        }
    }
}

#[test]
fn changed_parameters_are_a_new_version_by_make_and_only_by_make() {
    let steps = steps();
    for before in &steps {
        let same_code = |after: &&Step| after.deployment.code == before.deployment.code;
        for after in steps.iter().filter(same_code) {
            let is_changed = after.deployment.parameters != before.deployment.parameters;
            match (&before.deployment.stamp, &after.deployment.stamp) {
                // The README says so.
                (None, None) => assert_eq!(after.versions, before.versions, "{} after {}", after.name, before.name),
                (_, Some(_)) if is_changed => {
                    assert!(after.versions.is_disjoint(&before.versions), "{} after {}", after.name, before.name);
                }
                _ => {}
            }
        }
    }
}

/// `AWS::Lambda::Version` fails where the function is as its last version is, and the deployment with it.
#[test]
fn a_new_version_is_of_a_changed_function() {
    let steps = steps();
    for before in &steps {
        for after in &steps {
            for (id, function) in &after.functions {
                let of = |step: &Step| {
                    let is_its = |version: &&String| version.starts_with(&format!("{id}Version"));
                    step.versions.iter().find(is_its).cloned().unwrap()
                };
                if of(before) != of(after) {
                    assert_ne!(&before.functions[id], function, "{} after {}: {id}", after.name, before.name);
                }
            }
        }
    }
}
