"""Groups of real members, case by case: driver.py --broker PROGRAM DIR [--only PART] [--lacks FEATURE …] -- COMMAND …

The broker runs on DIR, which is empty; `--bootstrap HOST:PORT` or BOOTSTRAP names one that runs already.
COMMAND is a client's member: a process of its own, so that it can be killed. It is started with BOOTSTRAP, GROUP and
TOPIC, then INSTANCE or `-`, then `range`, `cooperative` or `consumer` (KIP-848). It subscribes with a session of 6 s, reads from the earliest,
commits each record that it reads before it reads the next, and tells on stdout, a line each:

    assigned 0,2        the partitions it has now, whenever that changes
    read 2 17           partition and offset of a record
    committed 2 18      the broker took the commit

It leaves its group and ends when its stdin ends.
"""

import argparse
import os
import subprocess
import sys
import threading
import time
import traceback

from confluent_kafka import ConsumerGroupTopicPartitions, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from broker import Broker

PARTITIONS = 6
STEP_SECONDS = 60
CASES = []


class Member:
    """A member's process and what it has told so far."""

    def __init__(self, command, bootstrap, group, topic, instance="-", strategy="range"):
        words = [*command, bootstrap, group, topic, instance, strategy]
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.assignments, self.read, self.committed = [], [], {}
        self.teller = threading.Thread(target=self._listen, daemon=True)
        self.teller.start()

    def _listen(self):
        for line in self.process.stdout:
            match line.split():
                case ["assigned", partitions]:
                    self.assignments.append({int(one) for one in partitions.split(",")})
                case ["assigned"]:
                    self.assignments.append(set())
                case ["read", partition, offset]:
                    self.read.append((int(partition), int(offset)))
                case ["committed", partition, offset]:
                    self.committed[int(partition)] = int(offset)
                case _:
                    print(f"a member said {line!r}", flush=True)

    def has(self):
        return self.assignments[-1] if self.assignments else set()

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.teller.join()

    def leave(self):
        self.process.stdin.close()
        status = self.process.wait(STEP_SECONDS)
        self.teller.join()
        assert status == 0, f"a member ended with {status}"


class Stage:
    """A topic, a group and its members."""

    def __init__(self, bootstrap, command, name):
        self.bootstrap, self.command = bootstrap, command
        self.group = self.topic = f"group-{name}-{int(time.time() * 1000):x}"
        self.admin = AdminClient({"bootstrap.servers": bootstrap})
        self.admin.create_topics([NewTopic(self.topic, PARTITIONS, 1)])[self.topic].result(STEP_SECONDS)
        self.members, self.sent = [], [0] * PARTITIONS

    def join(self, **settings):
        member = Member(self.command, self.bootstrap, self.group, self.topic, **settings)
        self.members.append(member)
        return member

    def produce(self, each=5):
        """So many records more in each partition."""
        producer = Producer({"bootstrap.servers": self.bootstrap, "acks": "all", "enable.idempotence": True})
        for partition in range(PARTITIONS):
            for _ in range(each):
                producer.produce(self.topic, b"x", partition=partition)
        assert producer.flush(STEP_SECONDS) == 0, "records are not acked"
        self.sent = [sent + each for sent in self.sent]

    def all_read(self):
        """All records were read by somebody, in order, and again only what was not committed."""
        expected = {(partition, at) for partition, sent in enumerate(self.sent) for at in range(sent)}
        until(lambda: {one for member in self.members for one in list(member.read)} >= expected, self.told)
        for member in self.members:
            for partition in range(PARTITIONS):
                offsets = [at for index, at in member.read if index == partition]
                skips = [(a, b) for a, b in zip(offsets, offsets[1:]) if b > a + 1]
                # A partition that went to another member and came back goes on further up.
                rest = [one for other in self.members if other is not member for one in other.read]
                others = {at for index, at in rest if index == partition}
                for a, b in skips:
                    assert set(range(a + 1, b)) <= others, f"partition {partition}: {a} then {b}"

    def shared(self, *members):
        """These members have all partitions, each has one owner, and as many as the others."""
        def is_so():
            parts = [member.has() for member in members]
            even = all(len(part) == PARTITIONS // len(members) for part in parts)
            return even and set().union(*parts) == set(range(PARTITIONS))
        until(is_so, self.told)

    def committed(self):
        """What the broker has stored, partition by partition; -1001 where there is nothing."""
        asked = ConsumerGroupTopicPartitions(self.group, [TopicPartition(self.topic, p) for p in range(PARTITIONS)])
        # A client of its own: one from before a broker's end may wait for an answer that does not come.
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        answer = admin.list_consumer_group_offsets([asked], request_timeout=5)[self.group].result(STEP_SECONDS)
        return [one.offset for one in sorted(answer.topic_partitions, key=lambda one: one.partition)]

    def kind(self):
        """CLASSIC or CONSUMER, as the broker tells of the group."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        return admin.describe_consumer_groups([self.group])[self.group].result(STEP_SECONDS).type.name

    def told(self):
        return "; ".join(
            f"member {n}: has {member.assignments[-3:]}, read {len(member.read)}" for n, member in enumerate(self.members)
        )

    def end(self):
        for member in self.members:
            if member.process.poll() is None:
                member.kill()


def until(is_so, told, seconds=STEP_SECONDS):
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, told()
        time.sleep(0.02)


def case(feature, name):
    def register(run):
        CASES.append((feature, name, run))
        return run

    return register


@case("group-share", "two members share a topic, and one takes over what the other leaves")
def share(stage):
    stage.produce()
    first = stage.join()
    stage.shared(first)
    second = stage.join()
    stage.shared(first, second)
    stage.produce()
    stage.all_read()
    second.leave()
    stage.shared(first)
    stage.produce()
    stage.all_read()


@case("group-takeover", "a member that is killed is succeeded, and nothing is skipped")
def takeover(stage):
    stage.produce()
    first, second = stage.join(), stage.join()
    stage.shared(first, second)
    stage.produce()
    stage.all_read()
    second.kill()
    stage.produce()
    stage.shared(first)
    stage.all_read()
    # What was committed before is not read again.
    for partition, following in second.committed.items():
        taken = [at for index, at in first.read if index == partition and at < following]
        assert not set(taken) & {at for index, at in second.read if index == partition and at < following}, taken


@case("group-static", "a static member comes back to its partitions, and the others notice nothing")
def static(stage):
    stage.produce()
    first, second = stage.join(instance="a"), stage.join(instance="b")
    stage.shared(first, second)
    stage.all_read()
    had, changes = second.has(), len(first.assignments)
    second.kill()
    stage.produce()
    again = stage.join(instance="b")
    until(lambda: again.has() == had, stage.told)
    stage.all_read()
    assert len(first.assignments) == changes, f"the other member has {first.assignments[changes:]}"


@case("group-cooperative", "a cooperative member keeps what it goes on with when another joins")
def cooperative(stage):
    stage.produce()
    first = stage.join(strategy="cooperative")
    stage.shared(first)
    second = stage.join(strategy="cooperative")
    stage.shared(first, second)
    stage.produce()
    stage.all_read()
    kept = first.has()
    assert all(kept <= had for had in first.assignments if had != set()), first.assignments
    gave_up_all = [n for n, had in enumerate(first.assignments) if not had and n > 0]
    assert not gave_up_all, first.assignments


@case("group-consumer", "members of the consumer protocol share, join and leave, and one that is killed is succeeded")
def consumer_protocol(stage):
    stage.produce()
    first = stage.join(strategy="consumer")
    stage.shared(first)
    second, third = stage.join(strategy="consumer"), stage.join(strategy="consumer")
    stage.shared(first, second, third)
    stage.produce()
    stage.all_read()
    third.leave()
    stage.shared(first, second)
    second.kill()
    stage.produce()
    stage.shared(first)
    stage.all_read()
    assert stage.kind() == "CONSUMER", stage.kind()


@case("group-upgrade", "a group goes over to the consumer protocol member by member, and back, and each record is read once")
def upgrade(stage):
    stage.produce()
    members = [stage.join(), stage.join()]
    stage.shared(*members)
    for strategy, kind in (("consumer", "CONSUMER"), ("range", "CLASSIC")):
        for at in range(len(members)):
            # While one goes and comes the other reads on.
            stage.produce()
            members[at].leave()
            members[at] = stage.join(strategy=strategy)
            stage.produce()
            stage.shared(*members)
            stage.all_read()
        assert stage.kind() == kind, stage.kind()
    until(lambda: stage.committed() == stage.sent, stage.told)
    reads = sorted(one for member in stage.members for one in member.read)
    assert reads == sorted(set(reads)), [one for one in set(reads) if reads.count(one) > 1]


@case("group-offsets", "who comes later goes on where the group was; offsets can be reset")
def offsets(stage):
    stage.produce()
    first = stage.join()
    stage.all_read()
    until(lambda: stage.committed() == stage.sent, stage.told)
    first.leave()
    stage.produce()
    second = stage.join()
    stage.all_read()
    assert all(at >= 5 for _, at in second.read), second.read
    second.leave()
    target = [TopicPartition(stage.topic, p, 7) for p in range(PARTITIONS)]
    request = ConsumerGroupTopicPartitions(stage.group, target)
    stage.admin.alter_consumer_group_offsets([request])[stage.group].result(STEP_SECONDS)
    assert stage.committed() == [7] * PARTITIONS, stage.committed()
    third = stage.join()
    until(lambda: len(third.read) >= 3 * PARTITIONS, stage.told)
    assert sorted(third.read) == [(p, at) for p in range(PARTITIONS) for at in (7, 8, 9)], third.read


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bootstrap", default=os.environ.get("BOOTSTRAP"))
    parser.add_argument("--only", default="")
    parser.add_argument("--lacks", nargs="*", default=[])
    parser.add_argument("--broker", nargs=2, metavar=("PROGRAM", "DIR"))
    parser.add_argument("command", nargs="+")
    args = parser.parse_args()
    if args.bootstrap:
        passed, failed = run_all(args)
    else:
        broker = Broker(*args.broker)
        broker.start()
        args.bootstrap = broker.bootstrap
        try:
            passed, failed = run_all(args)
            broker.stop()
        finally:
            broker.kill()
    print(f"{passed} passed, {failed} failed")
    sys.exit(0 if passed and not failed else 1)


def run_all(args):
    passed = failed = 0
    for feature, name, run in CASES:
        if args.only not in name or feature in args.lacks:
            continue
        begun = time.monotonic()
        stage = Stage(args.bootstrap, args.command, feature.removeprefix("group-"))
        outcome = "passed"
        try:
            run(stage)
        except Exception:  # a case may fail in any way; each is told, and the next one runs
            outcome = "failed"
            print(f"FAILED {name}\n{traceback.format_exc()}", flush=True)
        else:
            print(f"ok     {name} ({(time.monotonic() - begun) * 1000:.0f} ms)", flush=True)
        finally:
            stage.end()
        passed, failed = passed + (outcome == "passed"), failed + (outcome == "failed")
        print(f"feature {feature} {outcome}", flush=True)
    return passed, failed


if __name__ == "__main__":
    main()
