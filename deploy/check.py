"""Rejects a stack name or parameters that AWS would reject minutes later, or misread. `make deploy` runs it first.

    python deploy/check.py [STACK_NAME]
"""

import re
import sys
from pathlib import Path

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


def parameter_problems(template: dict, parameters: object) -> list[str]:
    """What is wrong with the parameters, as SAM reads them."""
    if not isinstance(parameters, dict):
        return [f"{PARAMETERS} must be lines of the form Name: 'value'."]
    problems = []
    for name, value in parameters.items():
        if name not in template["Parameters"]:
            problems.append(f"{PARAMETERS}: the template has no parameter {name}.")
        elif value is None:
            problems.append(f"{PARAMETERS}: {name} has no value. Write {name}: '' for the empty text.")
        elif not isinstance(value, str):
            # Not the value itself: it may be a secret.
            kind = type(value).__name__
            problems.append(f"{PARAMETERS}: YAML takes the value of {name} for no text ({kind}). Quote it: {name}: '…'.")
    return problems


def main() -> None:
    samconfig = SamConfig(".").get_all(["deploy"], "parameters")
    stack_name = sys.argv[1] if len(sys.argv) > 1 else samconfig["stack_name"]
    template = yaml_parse(Path("template.yaml").read_text())
    try:
        parameters = FILE_MANAGER_MAPPER[PARAMETERS.suffix].read(PARAMETERS)
    except FileParseException as error:
        sys.exit(f"{PARAMETERS} is no YAML: {error}")
    problems = stack_name_problems(template, stack_name) + parameter_problems(template, parameters)
    if problems:
        sys.exit("\n".join(problems))


if __name__ == "__main__":
    main()
