"""Applies patches with Python's jsonpatch, which does not know pollcast.

Reads lines of JSON. {"body"} is a text to hold; {"patch", "body"} a text to apply to what is held,
which must then mean what the body says. Says {"wrong": line, "why"} at the first that does not, from
1, and ends; or {"patches"}, their number, when standard input has ended.
"""

import json
import sys

import jsonpatch


def main():
    document = None
    patches = 0
    for number, line in enumerate(sys.stdin, 1):
        line = json.loads(line)
        wanted = json.loads(line["body"])
        if "patch" not in line:
            document = wanted
            continue
        try:
            document = jsonpatch.apply_patch(document, json.loads(line["patch"]))
        except Exception as error:
            return end(wrong=number, why=f"{type(error).__name__}: {error}")
        if not same(document, wanted):
            return end(wrong=number, why=f"holds {document!r}, not {wanted!r}")
        patches += 1
    end(patches=patches)


def same(a, b):
    """To Python, True is 1."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[name], b[name]) for name in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def end(**answer):
    print(json.dumps(answer), flush=True)


main()
