"""A second opinion on dashboards: Grafana's own SDK (for Grafana 11.0, schema version 39) reads each file and writes it again.

What it does not write again, Grafana's schema does not know at that place; what it can't read has the wrong shape. Prints one line for each, as
FILE: PATH: WHAT; nothing else. Arguments: the files.
"""

import json
import sys

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard


def lost(before, after, path=""):
    """Paths that are in `before` and not, or with another value, in `after`."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key, value in before.items():
            here = f"{path}/{key}"
            if key not in after:
                # Empty and unset are the same to Grafana.
                if value not in (None, "", [], {}):
                    yield here, "is not known"
            else:
                yield from lost(value, after[key], here)
    elif isinstance(before, list) and isinstance(after, list):
        if len(before) != len(after):
            yield path, f"{len(before)} items became {len(after)}"
        for n, (b, a) in enumerate(zip(before, after)):
            yield from lost(b, a, f"{path}/{n}")
    elif before != after:
        yield path, f"{before!r} became {after!r}"


def main():
    register_default_plugins()
    for name in sys.argv[1:]:
        with open(name, encoding="utf-8") as file:
            before = json.load(file)
        try:
            after = json.loads(json.dumps(Dashboard.from_json(before), cls=JSONEncoder))
        except Exception as fault:  # Whatever it stumbles over is a fault of the file.
            print(f"{name}: /: can't be read: {fault!r}")
            continue
        for path, what in lost(before, after):
            print(f"{name}: {path}: {what}")


if __name__ == "__main__":
    main()
