"""Rejects a stack name or parameters that AWS would reject minutes later, or misread. `make deploy` runs it first.

    python deploy/check.py [STACK_NAME]
"""

import re
import sys
from pathlib import Path

import yaml
from samcli.cli.types import FILE_MANAGER_MAPPER
from samcli.lib.config.exceptions import FileParseException
from samcli.lib.config.samconfig import SamConfig
from samcli.yamlhelper import yaml_parse

# https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html
LONGEST_FUNCTION_NAME = 64

PARAMETERS = Path("parameters.yaml")


def stack_name_problems(template: dict, stack_name: str) -> list[str]:
    """What is wrong with the stack's name."""
    if not re.fullmatch("[A-Za-z][A-Za-z0-9-]*", stack_name):
        return [f"The stack's name {stack_name!r} must be letters, digits and hyphens, a letter first: make deploy STACK_NAME=…"]
    names = [
        resource["Properties"]["FunctionName"]["Fn::Sub"].replace("${AWS::StackName}", "")
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::Serverless::Function"
    ]
    longest = max(names, key=len)
    limit = LONGEST_FUNCTION_NAME - len(longest)
    if len(stack_name) <= limit:
        return []
    return [
        f"The stack's name {stack_name!r} has {len(stack_name)} characters. It may have {limit}, because a function's name, "
        f"{stack_name}{longest}, may have {LONGEST_FUNCTION_NAME}. Choose a shorter one: make deploy STACK_NAME=…, or "
        "stack_name in samconfig.toml."
    ]


def types_by_yaml_1_1(text: str) -> dict[str, str]:
    """The type of each value in YAML 1.1: `str`, `bool`, and so on."""
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    entries = node.value if isinstance(node, yaml.MappingNode) else []
    return {key.value: value.tag.rsplit(":", 1)[-1] for key, value in entries if isinstance(key, yaml.ScalarNode)}


def parameter_problems(template: dict, parameters: object, types: dict[str, str]) -> list[str]:
    """What is wrong with the parameters, as SAM reads them, and with their types in YAML 1.1.

    SAM reads them by YAML 1.2, where an unquoted `off` is a text, and templates by YAML 1.1, where it is false.
    """
    if not isinstance(parameters, dict):
        return [f"{PARAMETERS} must be lines of the form Name: 'value'."]
    problems = []
    for name, value in parameters.items():
        if name not in template["Parameters"]:
            problems.append(f"{PARAMETERS}: the template has no parameter {name}.")
        elif value is None:
            problems.append(f"{PARAMETERS}: {name} has no value. Write {name}: '' for the empty text.")
        elif (kind := type(value).__name__) != "str" or (kind := types.get(name, "str")) != "str":
            # Not the value itself: it may be a secret.
            problems.append(f"{PARAMETERS}: YAML reads {name} as {kind}, not as a string. Quote it: {name}: '…'.")
    return problems


def main() -> None:
    samconfig = SamConfig(".").get_all(["deploy"], "parameters")
    stack_name = sys.argv[1] if len(sys.argv) > 1 else samconfig["stack_name"]
    template = yaml_parse(Path("template.yaml").read_text())
    try:
        parameters = FILE_MANAGER_MAPPER[PARAMETERS.suffix].read(PARAMETERS)
        types = types_by_yaml_1_1(PARAMETERS.read_text())
    except (FileParseException, yaml.YAMLError) as error:
        sys.exit(f"{PARAMETERS} is no YAML: {error}")
    problems = stack_name_problems(template, stack_name) + parameter_problems(template, parameters, types)
    if problems:
        sys.exit("\n".join(problems))


if __name__ == "__main__":
    main()
