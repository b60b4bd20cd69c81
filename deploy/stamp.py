"""Marks the built template with what is about to be deployed, so that each change of code or parameters gets a version.

SAM publishes a version of a function where its code lies elsewhere than before, and nothing else: the value of a changed
parameter would reach no version, and no callback. `make deploy` runs this between `sam build` and `sam deploy`.

    python deploy/stamp.py ARCHITECTURE
"""

import hashlib
import sys
from pathlib import Path

from samcli.yamlhelper import yaml_dump, yaml_parse

BUILD = Path(".aws-sam/build")


def revision(architecture: str) -> str:
    """SHA-256 over the built functions, the template, the parameters and the processor."""
    digest = hashlib.sha256()
    for path in [*sorted(BUILD.glob("*/bootstrap")), Path("template.yaml"), Path("parameters.yaml")]:
        digest.update(f"{path} {path.stat().st_size}\n".encode())
        digest.update(path.read_bytes())
    digest.update(architecture.encode())
    return digest.hexdigest()


def stamp(template: dict, mark: str) -> None:
    """Writes `mark` into every function of a template.

    SAM names the version after it, and appends it to the function's description. The latter matters where nothing else of a
    function changed: Lambda publishes no version of an unchanged function, and the whole deployment would fail.
    """
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["AutoPublishCodeSha256"] = mark


def main() -> None:
    (architecture,) = sys.argv[1:]
    built = BUILD / "template.yaml"
    template = yaml_parse(built.read_text())
    stamp(template, revision(architecture))
    built.write_text(yaml_dump(template))


if __name__ == "__main__":
    main()
