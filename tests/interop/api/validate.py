"""Judges an OpenAPI document, and answers by its schemas. Reads {"document": ..., "answers": [{"path", "method", "status", "body"}]}, prints what is wrong."""

import json
import sys

from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

given = json.load(sys.stdin)
document = given["document"]
wrong = [f"document: {e.message} at {list(e.absolute_path)}" for e in OpenAPIV31SpecValidator(document).iter_errors()]
for answer in given["answers"] if not wrong else []:
    name = f"{answer['method']} {answer['path']} {answer['status']}"
    responses = document["paths"][answer["path"]][answer["method"]]["responses"]
    response = responses.get(str(answer["status"])) or responses["default"]
    while "$ref" in response:
        response = document["components"]["responses"][response["$ref"].rsplit("/", 1)[1]]
    schema = response["content"]["application/json"]["schema"]
    # The schemas refer to each other by their place in the document.
    whole = {"components": document["components"], "allOf": [schema]}
    wrong += [f"{name}: {e.message[:300]} at {list(e.absolute_path)}" for e in Draft202012Validator(whole).iter_errors(answer["body"])]
print("\n".join(wrong[:50]))
sys.exit(1 if wrong else 0)
