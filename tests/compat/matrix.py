"""README's table of clients and features, from what the suites printed: matrix.py LOGS [--update] [--groups].

LOGS has a file NAME.log for each client, and for some a `groups-NAME.log`; the block in README must be the table that follows
from them. The suites of single clients and those of groups are run apart, so what the others said is taken from README:
with `--groups` the rows of groups are checked and no others, without it all but these.
"""

import sys
from pathlib import Path

HERE = Path(__file__).parent
README = HERE.parent.parent / "README.md"
BEGIN, END = "<!-- clients -->\n", "<!-- end of clients -->\n"
SIGNS = {"passed": "✓", "failed": "✗", None: ""}
CLIENTS = {
    "java": "Java",
    "rdkafka": "rdkafka",
    "confluent": "confluent-kafka",
    "kcat": "kcat",
    "kafka-python": "kafka-python",
    "aiokafka": "aiokafka",
    "franz-go": "franz-go",
    "sarama": "sarama",
    "kafka-go": "kafka-go",
    "kafkajs": "KafkaJS",
    "rskafka": "rskafka",
}


def outcomes(log):
    """Feature → outcome, from the suite's lines `feature NAME OUTCOME`."""
    words = (line.split() for line in log.read_text(errors="replace").splitlines())
    return {line[1]: line[2] for line in words if len(line) == 3 and line[0] == "feature"}


def is_of_groups(feature):
    return feature.startswith("group-")


def rows(logs, features, of_groups):
    """Title → row, of the features that such a run proves."""
    logs = {client: logs / f"{'groups-' if of_groups else ''}{client}.log" for client in CLIENTS}
    # Some clients have no groups.
    found = {client: outcomes(log) if log.exists() or not of_groups else {} for client, log in logs.items()}
    for client, of_client in found.items():
        unknown = of_client.keys() - features.keys()
        assert (of_client or of_groups) and not unknown, f"{client}: no feature, or unknown ones: {sorted(unknown)}"
    signs = {feature: [SIGNS[found[client].get(feature)] for client in CLIENTS] for feature in features}
    return {title: row(title, signs[name]) for name, title in features.items() if is_of_groups(name) == of_groups}


def row(title, signs):
    return f"| {title} | " + " | ".join(signs) + " |"


def table(logs, of_groups, before):
    features = dict(line.split("\t") for line in (HERE / "features.tsv").read_text().splitlines())
    known = {line.split(" | ")[0].removeprefix("| "): line for line in before.splitlines()}
    known |= rows(logs, features, of_groups)
    lines = ["| | " + " | ".join(CLIENTS.values()) + " |", "|---" + "|:-:" * len(CLIENTS) + "|"]
    lines += [known.get(title) or row(title, [""] * len(CLIENTS)) for title in features.values()]
    return "\n".join(lines) + "\n"


def main(logs, update, of_groups):
    page = README.read_text()
    before, rest = page.split(BEGIN)
    old, after = rest.split(END)
    wanted = before + BEGIN + table(Path(logs), of_groups, old) + END + after
    if update:
        README.write_text(wanted)
    right = update or page == wanted
    if not right:
        run = "tests/compat/groups/run" if of_groups else "tests/compat/run"
        print(f"README's table of clients is not what came out: UPDATE_README=1 {run}")
    print("1 passed, 0 failed" if right else "0 passed, 1 failed")
    sys.exit(not right)


main(sys.argv[1], "--update" in sys.argv[2:], "--groups" in sys.argv[2:])
