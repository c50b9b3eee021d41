"""Writes the first inputs of each fuzz target into fuzz/corpus, from what the tests read."""

import hashlib
import json
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parent.parent
CORPUS = ROOT / "fuzz" / "corpus"

EVENTS = [path.read_text() for path in sorted(ROOT.glob("tests/events/*.json"))]
CONFIGS = [path.read_bytes() for path in sorted([*ROOT.glob("tests/config/**/*.toml"), ROOT / "rules.toml"])]
TEMPLATES = [path.read_text() for path in sorted([*ROOT.glob("templates/*.hbs"), *ROOT.glob("tests/config/**/*.hbs")])]


def conditions():
    """What stands behind `when =` in the configurations, and the texts of the conditions' own tests."""
    for config in CONFIGS:
        for match in re.finditer(r"when\s*=\s*(\"\"\"|'''|\"|')(.*?)\1", config.decode(), re.S):
            yield match.group(2)
    for path in sorted(ROOT.glob("src/rules/condition/tests/*.rs")):
        for match in re.finditer(r'"((?:[^"\\\n]|\\.){3,200})"', path.read_text()):
            yield match.group(1).replace('\\"', '"').replace("\\\\", "\\")


def write(target, seeds):
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    count = 0
    for seed in seeds:
        data = seed if isinstance(seed, bytes) else seed.encode()
        (folder / hashlib.sha1(data).hexdigest()).write_bytes(data)
        count += 1
    assert count > 2, f"{target} has only {count} seeds"


def main():
    small = json.dumps({"id": "1", "event": "e", "data": {"a": 1, "b": [1.5, None, "x"], "c": {"d": True}}})
    all_conditions = list(conditions())
    write("condition", all_conditions)
    write("evaluate", [f"{condition}\0{event}" for condition in all_conditions for event in [*EVENTS[:1], small]])
    write("config", CONFIGS)
    write("template", [f"{template}\0{event}" for template in TEMPLATES for event in [*EVENTS[:1], small]])
    write("envelope", [*EVENTS, small, small.replace("1.5", "1e999"), small.replace('"x"', '"\\ud800"')])
    write("signature", ["=\n{}", "=x\n{}", f"sha1=00\n{small}", f"v1,AAAA=\n{small}", " = \n"])


main()
