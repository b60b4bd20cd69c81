"""Follows the feed: prints each change once, as a line of JSON, and keeps its cursor in a file."""

import json
import os
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

CURSOR = "cursor.txt"
url, token = os.environ["LEDGER"], os.environ["TOKEN"]
cursor = open(CURSOR).read() if os.path.exists(CURSOR) else ""
while True:
    query = urllib.parse.urlencode({"after": cursor} if cursor else {})
    request = urllib.request.Request(f"{url}/feed?{query}", headers={"Authorization": f"Bearer {token}"})
    try:
        page = json.load(urllib.request.urlopen(request, timeout=30))
    except urllib.error.HTTPError as error:
        print(error, error.read().decode(), file=sys.stderr)
        if error.code < 429:  # a wrong token or parameter stays wrong
            sys.exit(1)
        time.sleep(10)
        continue
    except OSError as error:  # no network: the cursor stays where it is
        print(error, file=sys.stderr)
        time.sleep(10)
        continue
    for change in page["changes"]:
        print(json.dumps(change), flush=True)
    cursor = page["next"]
    with open(f"{CURSOR}.new", "w") as file:
        file.write(cursor)
    os.replace(f"{CURSOR}.new", CURSOR)
    if not page["more"]:
        time.sleep(5)
