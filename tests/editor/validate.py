"""Validates TOML files by a JSON Schema (draft-07, by Python's jsonschema).

    validate.py SCHEMA FILE...

Prints one JSON object: for each file `errors`, what is wrong with it; and `unknown`, the tables in which the schema
lets a key pass that nobody knows (one is put into each table of the file in turn), and `tables`, how many there are.
"""

import copy
import json
import sys
import tomllib

import jsonschema

UNKNOWN = "no-such-key"


def tables(value, path):
    """The paths of all tables, apart from those whose keys are the user's own."""
    if isinstance(value, dict):
        yield path
        for key, inner in value.items():
            if key not in ("with", "event"):
                yield from tables(inner, [*path, key])
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            yield from tables(inner, [*path, at])


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        schema = json.load(file)
    jsonschema.Draft7Validator.check_schema(schema)
    validator = jsonschema.Draft7Validator(schema)
    answer = {}
    for name in sys.argv[2:]:
        with open(name, "rb") as file:
            value = tomllib.load(file)
        errors = [f"{e.json_path}: {e.message}" for e in validator.iter_errors(value)]
        unknown, count = [], 0
        for path in tables(value, []):
            count += 1
            changed = copy.deepcopy(value)
            inner = changed
            for step in path:
                inner = inner[step]
            inner[UNKNOWN] = 1
            if validator.is_valid(changed):
                unknown.append(".".join(map(str, path)))
        answer[name] = {"errors": errors, "unknown": unknown, "tables": count}
    print(json.dumps(answer))


main()
