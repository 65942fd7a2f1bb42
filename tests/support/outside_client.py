"""A scoring service of somebody else: reads features over HTTP and decides by itself. Standard library only.

    python outside_client.py URL TOKEN_FILE CASES

CASES is a file of JSON lines, each a set of identifiers; prints one JSON line per case with its own decision.
"""

import json
import sys
import urllib.request
from pathlib import Path


def ask(url: str, token: str, body: object) -> dict:
    """One POST of JSON."""
    request = urllib.request.Request(
        url,
        data=json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def main() -> None:
    """Decide: more than three payments in a day at this customer are too many for us."""
    url, token_file, cases = sys.argv[1:]
    token = Path(token_file).read_text().strip()
    rows = [json.loads(line) for line in Path(cases).read_text().splitlines()]
    for row in ask(f"{url}/v1/features", token, {"rows": rows})["rows"]:
        count = row["features"]["customer.count_24h"]
        print(json.dumps({"decision": "stop" if count > 3 else "go", "count": count}))


if __name__ == "__main__":
    main()
