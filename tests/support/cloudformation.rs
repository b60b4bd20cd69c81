//! What `CloudFormation` makes of the template: SAM's own translator (`.tools`) expands it, and a small evaluator resolves
//! conditions and references, so that a test sees the resources that a stack would have.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;

use regex_lite::Regex;
use serde_json::{Map, Value, json};

/// The interpreter that has SAM.
pub(crate) const PYTHON: &str = ".tools/bin/python";

pub(crate) type Parameters = BTreeMap<String, String>;

/// What `tests/support/translate.py` is to translate.
#[derive(Clone, Debug)]
pub(crate) struct Deployment {
    /// Where the functions' code lies.
    pub(crate) code: String,
    /// What `make deploy` marks the built template with; nothing for `sam deploy` alone.
    pub(crate) stamp: Option<String>,
    pub(crate) parameters: Parameters,
}

pub(crate) fn parameters(pairs: &[(&str, &str)]) -> Parameters {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// The template as SAM translates it, for each of the deployments, and parameters as SAM reads them.
pub(crate) fn translate(deployments: &BTreeMap<String, Deployment>, overrides: &[&[&str]]) -> (Value, Vec<Parameters>) {
    assert!(Path::new(PYTHON).exists(), "{PYTHON} is missing: `make tools` installs it");
    let templates: Map<String, Value> = deployments
        .iter()
        .map(|(name, Deployment { code, stamp, parameters })| {
            let wanted = json!({ "template": "template.yaml", "code": code, "stamp": stamp, "parameters": parameters });
            (name.clone(), wanted)
        })
        .collect();
    let overrides: Map<String, Value> =
        overrides.iter().enumerate().map(|(index, texts)| (format!("{index:03}"), json!(texts))).collect();
    let mut python = Command::new(PYTHON)
        .arg("tests/support/translate.py")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let asked = json!({ "templates": templates, "overrides": overrides }).to_string();
    python.stdin.take().unwrap().write_all(asked.as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let read: BTreeMap<String, Parameters> = serde_json::from_value(answer["overrides"].take()).unwrap();
    (answer["templates"].take(), read.into_values().collect())
}

/// The logical ids of the template's functions, by their binaries.
pub(crate) fn function_ids() -> BTreeMap<String, String> {
    let template: serde_norway::Value = serde_norway::from_str(&fs::read_to_string("template.yaml").unwrap()).unwrap();
    let binary = |resource: &serde_norway::Value| {
        let binary = &resource.get("Metadata")?["BuildProperties"]["Binary"];
        binary.as_str().map(str::to_owned)
    };
    let resources = template["Resources"].as_mapping().unwrap().iter();
    resources.filter_map(|(id, resource)| Some((binary(resource)?, id.as_str()?.to_owned()))).collect()
}

/// A template with its parameters.
pub(crate) struct Stack<'t> {
    template: &'t Value,
    parameters: Parameters,
    partition: &'t str,
}

/// A resource that a stack has, with nothing left to resolve: a reference to another reads `<Id>` or `<Id.Attribute>`.
#[derive(Debug)]
pub(crate) struct Resource {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) properties: Value,
}

impl<'t> Stack<'t> {
    /// The stack of a translated template with these parameters, and the defaults of the others.
    pub(crate) fn new(template: &'t Value, given: &Parameters) -> Self {
        Self::in_partition("aws", template, given)
    }

    pub(crate) fn in_partition(partition: &'t str, template: &'t Value, given: &Parameters) -> Self {
        let mut parameters: Parameters = entries(&template["Parameters"])
            .filter_map(|(name, parameter)| Some((name.clone(), text(parameter.get("Default")?))))
            .collect();
        for (name, value) in given {
            assert!(template["Parameters"].get(name).is_some(), "the template has no parameter {name}");
            parameters.insert(name.clone(), value.clone());
        }
        Self { template, parameters, partition }
    }

    /// The resources whose conditions hold.
    pub(crate) fn resources(&self) -> Vec<Resource> {
        self.resources_where(|_| true)
    }

    /// Those of a type.
    pub(crate) fn resources_of(&self, kind: &str) -> Vec<Resource> {
        self.resources_where(|one| one == kind)
    }

    fn resources_where(&self, is_wanted: impl Fn(&str) -> bool) -> Vec<Resource> {
        entries(&self.template["Resources"])
            .filter(|(_, resource)| is_wanted(resource["Type"].as_str().unwrap()) && self.is_there(resource))
            .map(|(id, resource)| {
                for needed in resource["DependsOn"].as_array().into_iter().flatten() {
                    self.resource(needed.as_str().unwrap(), id);
                }
                // The policies of an update refer to other resources too.
                self.resolve(&resource["UpdatePolicy"], id);
                let properties = self.resolve(&resource["Properties"], id).unwrap_or_default();
                Resource { id: id.clone(), kind: resource["Type"].as_str().unwrap().to_owned(), properties }
            })
            .collect()
    }

    /// The outputs whose conditions hold.
    pub(crate) fn outputs(&self) -> BTreeMap<String, String> {
        entries(&self.template["Outputs"])
            .filter(|(_, output)| self.is_there(output))
            .map(|(name, output)| (name.clone(), text(&self.resolve(&output["Value"], name).unwrap())))
            .collect()
    }

    /// What `Rules` say against the parameters.
    pub(crate) fn broken_rules(&self) -> BTreeSet<&str> {
        let holds = |condition: &Value| self.holds(condition, "a rule");
        entries(&self.template["Rules"])
            .filter(|(_, rule)| rule.get("RuleCondition").is_none_or(holds))
            .filter(|(_, rule)| rule["Assertions"].as_array().unwrap().iter().any(|one| !holds(&one["Assert"])))
            .map(|(name, _)| name.as_str())
            .collect()
    }

    fn is_there(&self, resource: &Value) -> bool {
        resource.get("Condition").is_none_or(|condition| self.condition(condition.as_str().unwrap()))
    }

    fn condition(&self, name: &str) -> bool {
        let condition = self.template["Conditions"].get(name);
        self.holds(condition.unwrap_or_else(|| panic!("there is no condition {name}")), name)
    }

    fn holds(&self, condition: &Value, place: &str) -> bool {
        let (function, argument) = entries(condition).next().unwrap();
        let several = || argument.as_array().unwrap().iter();
        match function.as_str() {
            "Condition" => self.condition(argument.as_str().unwrap()),
            "Fn::And" => several().all(|one| self.holds(one, place)),
            "Fn::Or" => several().any(|one| self.holds(one, place)),
            "Fn::Not" => !self.holds(&argument[0], place),
            "Fn::Equals" => self.resolve(&argument[0], place) == self.resolve(&argument[1], place),
            other => panic!("{place}: {other} is no condition"),
        }
    }

    /// A resource that is referred to from `place`, which must be there.
    fn resource(&self, id: &str, place: &str) -> &Value {
        let resource = &self.template["Resources"][id];
        assert!(!resource.is_null(), "{place} refers to {id}, which the template does not have");
        assert!(self.is_there(resource), "{place} refers to {id}, which these parameters leave out");
        resource
    }

    /// A value without functions; `None` is `AWS::NoValue`.
    fn resolve(&self, value: &Value, place: &str) -> Option<Value> {
        match value {
            Value::Array(items) => Some(items.iter().filter_map(|item| self.resolve(item, place)).collect()),
            Value::Object(object) => match object.iter().next() {
                Some((function, argument))
                    if object.len() == 1 && (function == "Ref" || function.starts_with("Fn::")) =>
                {
                    self.call(function, argument, place)
                }
                _ => {
                    let entries = object.iter();
                    Some(entries.filter_map(|(name, one)| Some((name.clone(), self.resolve(one, place)?))).collect())
                }
            },
            scalar => Some(scalar.clone()),
        }
    }

    fn call(&self, function: &str, argument: &Value, place: &str) -> Option<Value> {
        match function {
            "Ref" if argument == "AWS::NoValue" => None,
            "Ref" => Some(self.reference(argument.as_str().unwrap(), place).into()),
            "Fn::GetAtt" => {
                let path = argument.as_array().unwrap().iter().map(|part| part.as_str().unwrap());
                Some(self.reference(&path.collect::<Vec<_>>().join("."), place).into())
            }
            "Fn::If" => {
                let holds = self.condition(argument[0].as_str().unwrap());
                self.resolve(&argument[if holds { 1 } else { 2 }], place)
            }
            "Fn::Sub" => {
                let (pattern, variables) = match argument {
                    Value::Array(both) => (&both[0], self.resolve(&both[1], place).unwrap()),
                    pattern => (pattern, Value::Null),
                };
                Some(self.substitute(pattern.as_str().unwrap(), &variables, place).into())
            }
            other => panic!("{place}: {other} is not evaluated here"),
        }
    }

    fn substitute(&self, pattern: &str, variables: &Value, place: &str) -> String {
        let mut parts = pattern.split("${");
        let mut result = parts.next().unwrap().to_owned();
        for part in parts {
            let (name, rest) = part.split_once('}').unwrap();
            result += &variables.get(name).map_or_else(|| self.reference(name, place), text);
            result += rest;
        }
        result
    }

    /// What a name refers to: a parameter, a pseudo parameter, a resource or its attribute.
    fn reference(&self, name: &str, place: &str) -> String {
        match name {
            "AWS::AccountId" => "123456789012".to_owned(),
            "AWS::Partition" => self.partition.to_owned(),
            "AWS::Region" => "us-east-1".to_owned(),
            "AWS::StackName" => "stack".to_owned(),
            "AWS::URLSuffix" => "amazonaws.com".to_owned(),
            _ => self.parameters.get(name).cloned().unwrap_or_else(|| {
                self.resource(name.split('.').next().unwrap(), place);
                format!("<{name}>")
            }),
        }
    }

    /// The patterns, lists and bounds that parameters break.
    pub(crate) fn disallowed(&self) -> BTreeSet<&str> {
        entries(&self.template["Parameters"])
            .filter(|(name, parameter)| !is_allowed(parameter, &self.parameters[*name]))
            .map(|(name, _)| name.as_str())
            .collect()
    }
}

/// The patterns, each of which many values are held against.
static COMPILED: Mutex<BTreeMap<String, Regex>> = Mutex::new(BTreeMap::new());

/// Whether `CloudFormation` takes a parameter's value. It matches a pattern against the whole of it.
fn is_allowed(parameter: &Value, value: &str) -> bool {
    let matches = parameter.get("AllowedPattern").is_none_or(|pattern| {
        let pattern = format!("^(?:{})$", pattern.as_str().unwrap());
        let mut compiled = COMPILED.lock().unwrap();
        compiled.entry(pattern).or_insert_with_key(|pattern| Regex::new(pattern).unwrap()).is_match(value)
    });
    let listed = parameter["AllowedValues"].as_array().is_none_or(|all| all.iter().any(|one| text(one) == value));
    let is_number = parameter["Type"] != "Number" || value.parse::<f64>().is_ok();
    let is_enough =
        parameter["MinValue"].as_f64().is_none_or(|least| value.parse().is_ok_and(|number: f64| number >= least));
    matches && listed && is_number && is_enough
}

fn entries(object: &Value) -> impl Iterator<Item = (&String, &Value)> {
    object.as_object().into_iter().flatten()
}

/// A scalar as `CloudFormation` writes it.
fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
