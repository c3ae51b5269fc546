"""Records that the suites send, as (key, value, headers, timestamp), and the check of what came back."""

import random
import time

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
STEP_SECONDS = 60
T0_MS = 1_600_000_000_000
MANY = 1_000


def noise(seed, length):
    return random.Random(seed).randbytes(length)


def keyed(count, seed=0, null_header=True):
    """Records with keys and headers; half of each value is noise."""
    source = random.Random(seed)
    return [
        (
            f"key-{at}".encode(),
            b"text " * (at % 50) + source.randbytes(at % 400),
            [("at", str(at).encode()), ("none", None if null_header else b"-"), ("at", b"")],
            None,
        )
        for at in range(count)
    ]


def plain(value, key=None, timestamp=None):
    return (key, value, [], timestamp)


def check_same(sent, read, first=0):
    """`read` has what was sent as (offset, key, value, headers), at offsets from `first` on."""
    assert len(sent) == len(read), f"{len(sent)} sent, {len(read)} read"
    for offset, ((key, value, headers, _), found) in enumerate(zip(sent, read), first):
        at, *parts = found
        assert at == offset, f"offset {at} where {offset} comes next"
        assert parts == [key, value, headers], f"offset {offset} differs: {parts!r:.300}"


def until(expected, ask):
    deadline = time.monotonic() + STEP_SECONDS
    while (found := ask()) != expected:
        assert time.monotonic() < deadline, f"{found!r}, not {expected!r}"
        time.sleep(0.02)


class Names:
    """Topic names that no other run uses."""

    def __init__(self, suite):
        self.suite, self.run = suite, f"{int(time.time() * 1000):x}"

    def of(self, topic):
        return f"{self.suite}-{topic}-{self.run}"
