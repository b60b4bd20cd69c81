"""Unpacks a package with its modes, as SCF does, and tells what is in it, as JSON: name, mode, time.

    python tests/scf/unpack.py PACKAGE FOLDER
"""

import json
import sys
import zipfile
from pathlib import Path

package, folder = sys.argv[1:]
entries = []
with zipfile.ZipFile(package) as opened:
    for entry in opened.infolist():
        path = Path(opened.extract(entry, folder))
        path.chmod(entry.external_attr >> 16 & 0o7777)
        entries.append({"name": entry.filename, "mode": f"{entry.external_attr >> 16:o}", "time": entry.date_time})
json.dump(entries, sys.stdout)
