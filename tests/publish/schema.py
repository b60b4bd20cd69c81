"""Holds events from standard input against their schema, and makes sure that it rejects others."""

import copy
import json
import sys
from pathlib import Path

from jsonschema import Draft202012Validator

schema = json.loads(Path("docs/publishing/event.schema.json").read_text())
Draft202012Validator.check_schema(schema)
validator = Draft202012Validator(schema)
events = json.load(sys.stdin)
for event in events:
    validator.validate(event)

def changed(change):
    event = copy.deepcopy(events[0])
    change(event)
    return event

wrong = [
    changed(lambda event: event["detail"].pop("change")),
    changed(lambda event: event["detail"].pop("change_key")),
    changed(lambda event: event.update(source="another")),
]
assert not any(validator.is_valid(event) for event in wrong)
print(f"{len(events)} events, and none of {len(wrong)} that are wrong")
