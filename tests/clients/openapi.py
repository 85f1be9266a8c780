"""Judges an OpenAPI document by the validator of its own specification, and JSON by the document's forms.

Knows OpenAPI 3.1 and its JSON Schema as others have written them down. Refuses to know what should be in the document. Its order
has the document and `{form, value}` for each that is to be judged; it prints one line of JSON.
"""

import json
import sys
from importlib.metadata import version

from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

order = json.load(sys.stdin)
document = order["document"]
faults = [f"the document: {fault.message}" for fault in OpenAPIV31SpecValidator(document).iter_errors()]


def judge(name, schema, value):
    """Judges a value by a schema that may refer to the document's forms."""
    schema = {**schema, "components": document["components"]}
    for fault in OAS31Validator(schema).iter_errors(value):
        faults.append(f"{name}: {fault.json_path}: {fault.message}")


def form(name):
    return {"$ref": f"#/components/schemas/{name}"}


for one in order["values"]:
    judge(one["form"], form(one["form"]), one["value"])

# A value that is of no form shows that the judge judges.
before = len(faults)
judge("ChatCompletion", form("ChatCompletion"), {"id": 1})
told = len(faults) > before
del faults[before:]

examples = 0
operations = 0
for path in document["paths"].values():
    for operation in path.values():
        operations += 1
        content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
        for name, example in content.get("examples", {}).items():
            examples += 1
            judge(f"{operation['operationId']}, {name}", content["schema"], example["value"])

print(
    json.dumps(
        {
            "client": f"openapi-spec-validator {version('openapi-spec-validator')}",
            "faults": faults,
            "judges": told,
            "operations": operations,
            "examples": examples,
        }
    )
)
