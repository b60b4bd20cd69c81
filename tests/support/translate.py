"""Translates templates as SAM does on AWS, without an account and a network, and reads parameters as `sam deploy` does.

Reads from standard input, and writes the results in the same form:

    {"templates": {NAME: {"template": PATH, "code": TEXT, "stamp": TEXT or null, "parameters": {…}}},
     "overrides": {NAME: [TEXT, …]}}

`code` is what `sam deploy` makes of a function's code: where it lies, which is a hash of it.
"""

import json
import os
import sys
from pathlib import Path

os.environ["AWS_DEFAULT_REGION"] = "us-east-1"
sys.path.insert(0, str(Path(__file__).parents[2] / "deploy"))

from boto3.session import Session
from samcli.cli.types import CfnParameterOverridesType
from samcli.yamlhelper import yaml_parse
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from stamp import stamp


def managed_policies():
    """What SAM asks IAM for."""
    names = ["AWSLambdaBasicExecutionRole", "AWSCodeDeployRoleForLambda"]
    return {name: f"arn:aws:iam::aws:policy/service-role/{name}" for name in names}


def translate(wanted):
    template = yaml_parse(Path(wanted["template"]).read_text())
    if wanted["stamp"]:
        stamp(template, wanted["stamp"])
    template["Globals"]["Function"].pop("CodeUri", None)
    for name, resource in template["Resources"].items():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = f"s3://bucket/{wanted['code']}-{name}"
    translator = Translator(managed_policy_map=None, sam_parser=Parser(), boto_session=Session())
    return translator.translate(template, wanted["parameters"], get_managed_policy_map=managed_policies)


asked = json.load(sys.stdin)
parser = CfnParameterOverridesType()
json.dump(
    {
        "templates": {name: translate(wanted) for name, wanted in asked["templates"].items()},
        "overrides": {name: parser.convert(tuple(texts), None, None) for name, texts in asked["overrides"].items()},
    },
    sys.stdout,
)
