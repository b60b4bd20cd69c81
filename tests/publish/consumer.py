"""Runs the consumer of examples/publishing/consumer.yaml with a DynamoDB at the address that is given.

Reads batches of events from standard input, and writes what was handled: the group's id, the change's number, and whether it came late.
"""

import json
import os
import sys
from pathlib import Path

import boto3
from samcli.yamlhelper import yaml_parse

os.environ["AWS_ENDPOINT_URL_DYNAMODB"] = sys.argv[1]
os.environ["HANDLED_TABLE"] = "handled"
resources = yaml_parse(Path("examples/publishing/consumer.yaml").read_text())["Resources"]
properties = resources["Handled"]["Properties"]
names = ["BillingMode", "AttributeDefinitions", "KeySchema"]
boto3.client("dynamodb").create_table(TableName="handled", **{name: properties[name] for name in names})

code = resources["Consumer"]["Properties"]["InlineCode"]
assert len(code) <= 4096, "CloudFormation takes no more code in a template"
module = {}
exec(code, module)
handled = []
module["handle"] = lambda change, late: handled.append(
    [change["group_id"], int(change["change_key"].rsplit("#")[-1]), late]
)
for batch in json.load(sys.stdin):
    records = [{"messageId": str(number), "body": json.dumps(event)} for number, event in enumerate(batch)]
    answer = module["handler"]({"Records": records}, None)
    assert answer == {"batchItemFailures": []}, answer

# After a failure the rest of the group waits, and another group does not.
def failing(change, late):
    if change["change_key"] == "2":
        raise ValueError("no")
    handled_then.append(change["change_key"])

handled_then = []
module["handle"] = failing
changes = [("f", "1"), ("f", "2"), ("f", "3"), ("other", "4")]
body = lambda group, key: json.dumps({"detail": {"group_key": group, "change_key": key, "kind": "group.full"}})
records = [{"messageId": key, "body": body(group, key)} for group, key in changes]
answer = module["handler"]({"Records": records}, None)
assert answer == {"batchItemFailures": [{"itemIdentifier": "2"}, {"itemIdentifier": "3"}]}, answer
assert handled_then == ["1", "4"], handled_then
# What the consumer itself prints is above.
print(json.dumps(handled))
