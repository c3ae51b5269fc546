"""Runs the cases of a suite; prints a line for each, one for each feature, and the counts."""

import argparse
import os
import sys
import time
import traceback

CASES = []


def case(proves, name):
    """Registers a function as a case of that name; what it proves are features of features.tsv."""

    def register(run):
        CASES.append((proves.split(), name, run))
        return run

    return register


def main(doc, connect, call=lambda run, cluster: run(cluster)):
    """Runs the cases asked for against what `connect(bootstrap)` gives."""
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("--bootstrap", default=os.environ.get("BOOTSTRAP"))
    parser.add_argument("--only", default="")
    args = parser.parse_args()
    if not args.bootstrap:
        parser.error("--bootstrap HOST:PORT or BOOTSTRAP is needed")
    cluster, passed, failed, features = connect(args.bootstrap), 0, 0, {}
    for proves, name, run in CASES:
        if args.only not in name:
            continue
        begun = time.monotonic()
        try:
            call(run, cluster)
        except Exception:  # a case may fail in any way; each is told, and the next one runs
            failed += 1
            features |= dict.fromkeys(proves, "failed")
            print(f"FAILED {name}\n{traceback.format_exc()}", flush=True)
        else:
            passed += 1
            features = dict.fromkeys(proves, "passed") | features
            print(f"ok     {name} ({(time.monotonic() - begun) * 1000:.0f} ms)", flush=True)
    for feature, outcome in features.items():
        print(f"feature {feature} {outcome}")
    print(f"{passed} passed, {failed} failed")
    sys.exit(0 if passed and not failed else 1)
