"""README's table of clients and features, from what the suites printed: matrix.py LOGS [--update].

LOGS has a file NAME.log for each client; the block in README must be the table that follows from them.
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


def table(logs):
    features = dict(line.split("\t") for line in (HERE / "features.tsv").read_text().splitlines())
    found = {client: outcomes(logs / f"{client}.log") for client in CLIENTS}
    for client, of_client in found.items():
        unknown = of_client.keys() - features.keys()
        assert of_client and not unknown, f"{client}: no feature, or unknown ones: {sorted(unknown)}"
    lines = ["| | " + " | ".join(CLIENTS.values()) + " |", "|---" + "|:-:" * len(CLIENTS) + "|"]
    for feature, title in features.items():
        signs = (SIGNS[of_client.get(feature)] for of_client in found.values())
        lines.append(f"| {title} | " + " | ".join(signs) + " |")
    return "\n".join(lines) + "\n"


def main(logs, update):
    page = README.read_text()
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    wanted = before + BEGIN + table(Path(logs)) + END + after
    if update:
        README.write_text(wanted)
    right = update or page == wanted
    if not right:
        print("README's table of clients is not what came out: UPDATE_README=1 tests/compat/run")
    print("1 passed, 0 failed" if right else "0 passed, 1 failed")
    sys.exit(not right)


main(sys.argv[1], "--update" in sys.argv[2:])
