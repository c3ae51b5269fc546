"""Kills the broker again and again while groups run: kill9.py BROKER DIR COMMAND …, each COMMAND a member's (driver.py).

Every group has two members of one client. `--consumer COMMAND` makes a group whose members speak the consumer protocol
(KIP-848); those of the others speak the classic one. After each start they must come back by themselves, have all
partitions, read everything, and no commit that was acked may be gone. In the end each group must be of the protocol of its
members still. `--cycles N` (20).
"""

import argparse
import random
import time

from broker import Broker
from driver import Stage, until


def cycle(broker, stages, source):
    """A kill at any moment, and what must hold after it."""
    for stage in stages:
        stage.produce(3)
    time.sleep(source.uniform(0, 1.5))
    broker.kill()
    # What was acked before the end; members may lag behind with telling, never run ahead.
    acked = [acked_of(stage) for stage in stages]
    time.sleep(source.uniform(0, 1))
    broker.start()
    for stage, before in zip(stages, acked):
        until(lambda: can_tell(stage), lambda: "the group is not loaded")
        stored = stage.committed()
        for partition, offset in before.items():
            assert stored[partition] >= offset, f"{stage.group}: partition {partition} at {stored}, acked {offset}"
        stage.produce(2)
    for stage in stages:
        stage.all_read()
        until(lambda: stage.committed() == stage.sent, lambda: f"{stage.committed()}, not {stage.sent}; {stage.told()}")


def acked_of(stage):
    acked = {}
    for member in stage.members:
        for partition, offset in dict(member.committed).items():
            acked[partition] = max(acked.get(partition, 0), offset)
    return acked


def can_tell(stage):
    try:
        stage.committed()
    except Exception as error:  # the coordinator is loading, or the connection is new
        print(f"not yet: {error!r}", flush=True)
        return False
    return True


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cycles", type=int, default=20)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("broker")
    parser.add_argument("directory")
    parser.add_argument("--consumer", action="append", default=[], help="as a COMMAND, of the consumer protocol")
    parser.add_argument("commands", nargs="+", help="a member's command, as one word")
    args = parser.parse_args()
    print(f"seed {args.seed}", flush=True)
    source = random.Random(args.seed)
    broker = Broker(args.broker, args.directory)
    broker.start()
    stages = []
    try:
        asked = [(command, "range") for command in args.commands]
        asked += [(command, "consumer") for command in args.consumer]
        for number, (command, strategy) in enumerate(asked):
            stage = Stage(broker.bootstrap, command.split(), f"kill9-{number}-{strategy}")
            stages.append(stage)
            stage.produce()
            stage.shared(stage.join(strategy=strategy), stage.join(strategy=strategy))
        for number in range(args.cycles):
            cycle(broker, stages, source)
            print(f"ok     kill {number + 1}: {sum(sum(stage.sent) for stage in stages)} records", flush=True)
        for stage, (_, strategy) in zip(stages, asked):
            stage.shared(*stage.members)
            expected = "CONSUMER" if strategy == "consumer" else "CLASSIC"
            assert stage.kind() == expected, f"{stage.group} is {stage.kind()}"
    finally:
        for stage in stages:
            stage.end()
        broker.kill()
    print("1 passed, 0 failed")


if __name__ == "__main__":
    main()
