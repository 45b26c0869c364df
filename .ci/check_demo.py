"""Compares the document of `adb-lineage demo --json` with the edges written down by hand from the lakehouse's code.

    python .ci/check_demo.py demo.json

Prints each difference and exits 1 if there is one.
"""
import json
import pathlib
import sys

EXPECTED = pathlib.Path(__file__).parent.parent / "tests" / "demo" / "expected.json"


def differences(document, expected):
    """Lines that say what is missing or too much; a process is told by what it writes."""
    names = expected["datasets"]

    def full(column):
        dataset, _, name = column.partition("#")
        return f"{names[dataset]}#{name}"

    found = {}
    for process in document["processes"]:
        key = tuple(sorted(process["outputs"]))
        if key in found:
            yield f"written by two processes: {key}"
        found[key] = process
    for wanted in expected["processes"]:
        key = tuple(sorted(names[one] for one in wanted["outputs"]))
        process = found.pop(key, None)
        if process is None:
            yield f"{wanted['step']}: no process writes {key}"
            continue
        inputs = sorted(names[one] for one in wanted["inputs"])
        if sorted(process["inputs"]) != inputs:
            yield f"{wanted['step']}: reads {sorted(process['inputs'])}, not {inputs}"
        pairs = [tuple(pair) for pair in process["columns"]]
        columns = {tuple(map(full, pair)) for pair in wanted["columns"]}
        yield from (f"{wanted['step']}: twice: {pair}" for pair in sorted(set(pairs)) if pairs.count(pair) > 1)
        yield from (f"{wanted['step']}: lacks {pair}" for pair in sorted(columns - set(pairs)))
        yield from (f"{wanted['step']}: should not have {pair}" for pair in sorted(set(pairs) - columns))
    yield from (f"nobody expects a process that writes {key}" for key in found)


def main():
    """Compare, print, tell by the exit status."""
    document = json.loads(pathlib.Path(sys.argv[1]).read_text(encoding="utf-8"))
    found = list(differences(document, json.loads(EXPECTED.read_text(encoding="utf-8"))))
    for line in found:
        print(line)
    print(f"{len(document['processes'])} processes, {len(found)} differences")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
