"""Reads metrics from standard input by Prometheus' own Python parsers; says which there are.

Knows both formats' parsers. Refuses to know which metrics there should be. Its argument is the format; it prints one line of JSON.
"""

import json
import sys

from prometheus_client import parser
from prometheus_client.openmetrics import parser as openmetrics

text = sys.stdin.read()
if sys.argv[1] == "openmetrics":
    families = list(openmetrics.text_string_to_metric_families(text))
else:
    families = list(parser.text_string_to_metric_families(text))

# As Prometheus names them: a counter and an info by their samples, whose ending the parsers take away.
ENDINGS = {"counter": "_total", "info": "_info"}
names = set()
for family in families:
    ending = ENDINGS.get(family.type, "")
    names.add(family.name if family.name.endswith(ending) else family.name + ending)
    if not family.documentation:
        sys.exit(f"{family.name} says nothing of itself")

print(json.dumps({"names": sorted(names), "samples": sum(len(family.samples) for family in families)}))
