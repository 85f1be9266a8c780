"""How many lines the tests come by: `coverage.py LCOV ROOM=PERCENT...`, where a room is a folder of `daemon`, or `all`.

Prints each room's share, and fails where one has less than is asked for. Inline tests, from `#[cfg(test)]` and `mod tests {` on, which
stand at a file's end, are no lines of the daemon's.
"""

import re
import sys
from collections import Counter
from pathlib import Path

TESTS = re.compile(r"^#\[cfg\(test\)\]\n(?:#\[.*\]\n)*mod tests \{", re.MULTILINE)


def tests_begin(path):
    text = Path(path).read_text()
    found = TESTS.search(text)
    return text.count("\n", 0, found.start()) + 1 if found else sys.maxsize


def read(report):
    """Lines and lines that were come by, of each room."""
    lines, reached = Counter(), Counter()
    for line in Path(report).read_text().splitlines():
        kind, _, rest = line.partition(":")
        if kind == "SF":
            room = re.search(r"/daemon/([a-z-]+)/", rest)[1]
            begin = tests_begin(rest)
        elif kind == "DA":
            number, count = rest.split(",")[:2]
            if int(number) < begin:
                for each in (room, "all"):
                    lines[each] += 1
                    reached[each] += int(count) > 0
    return lines, reached


def main():
    report, *wanted = sys.argv[1:]
    wanted = {room: float(percent) for room, percent in (each.split("=") for each in wanted)}
    lines, reached = read(report)
    failed = False
    for room in sorted(lines, key=lambda room: (room == "all", room)):
        share = 100 * reached[room] / lines[room]
        due = wanted.pop(room, None)
        less = due is not None and share < due
        failed |= less
        asked = "" if due is None else f", {due:.0f} % wanted{': FAILED' if less else ''}"
        print(f"coverage: {room:<9} {share:6.2f} % of {lines[room]:6} lines{asked}")
    if wanted:
        sys.exit(f"the report has no {', '.join(wanted)}")
    sys.exit(failed)


main()
