"""`./dev perf [AREA…]`: run the benchmarks of these areas, or all."""

import argparse
import json
import sys
from collections.abc import Callable

from tests.perf import backlog, gnss, press, start
from tests.perf.table import Row, table

AREAS: dict[str, Callable[[int], list[Row]]] = {
    "start": start.measure,
    "press": press.measure,
    "backlog": backlog.measure,
    "gnss": gnss.measure,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="./dev perf", description="Measure, beside the floor in the same run.")
    parser.add_argument("areas", nargs="*", metavar="AREA", help=f"of {', '.join(AREAS)} (default: all)")
    parser.add_argument("--rounds", type=int, default=30, help="how often each thing is measured (default: 30)")
    parser.add_argument("--json", action="store_true", help="for machines: one JSON object for each row")
    arguments = parser.parse_args()
    if unknown := set(arguments.areas) - AREAS.keys():
        parser.error(f"no area {', '.join(sorted(unknown))}; there are {', '.join(AREAS)}")
    for area in arguments.areas or AREAS:
        print(f"measuring {area}, {arguments.rounds} rounds …", file=sys.stderr)
        rows = AREAS[area](arguments.rounds)
        if arguments.json:
            for row in rows:
                print(json.dumps(row.to_json()))
        else:
            print(table(area, rows))
    return 0


sys.exit(main())
