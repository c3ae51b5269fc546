"""Medians of what `run` measured, and their ratios: ratios.py FIGURES, of lines `BROKER NAME KEY=VALUE …`."""

import collections
import statistics
import sys

LABELS = ("protocol", "load", "by", "turn", "clients", "rounds")


def main(path):
    of = collections.defaultdict(lambda: collections.defaultdict(list))
    for line in open(path):
        broker, name, *pairs = line.split()
        pairs = dict(pair.split("=") for pair in pairs)
        labels = [pairs[label] for label in LABELS if label in pairs and label != "rounds"]
        for key, value in pairs.items():
            if key not in LABELS:
                of[" ".join([name, *labels, key])][broker].append(float(value))
    for name, by_broker in of.items():
        medians = {broker: statistics.median(values) for broker, values in by_broker.items()}
        spread = "  ".join(f"{broker} {medians[broker]:g} ({min(v):g} to {max(v):g})" for broker, v in by_broker.items())
        ratio = f"  ratio {medians['corelog'] / medians['kafka']:.2f}" if medians.get("kafka") else ""
        print(f"{name}: {spread}{ratio}")
    for name, load, base in (("produce", "groups", "none"), ("hostile", "here", "none"), ("hostile", "here", "elsewhere")):
        loaded, alone = (of.get(f"{name} {at} p99_us", {}).get("corelog") for at in (load, base))
        if loaded and alone:
            ratios = [a / b for a, b in zip(loaded, alone)]
            print(f"{name}, load {load} to {base}: median of rounds {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


main(sys.argv[1])
