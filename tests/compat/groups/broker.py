"""The broker under test, as a process of its own."""

import socket
import subprocess


class Broker:
    """The process of a broker on one directory and port."""

    def __init__(self, path, directory):
        self.command, self.directory = path, directory
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.bootstrap = "127.0.0.1:%d" % probe.getsockname()[1]
        self.process = None

    # Members of the consumer protocol take these times from the broker.
    SETTINGS = [
        "shards=2",
        "admin.listen=",
        "group.consumer.min.session.timeout.ms=6000",
        "group.consumer.session.timeout.ms=6000",
        "group.consumer.min.heartbeat.interval.ms=500",
        "group.consumer.heartbeat.interval.ms=500",
    ]

    def start(self):
        settings = [word for setting in self.SETTINGS for word in ("--set", setting)]
        words = [self.command, "dev", "--data-dir", f"{self.directory}/data", "--listen", self.bootstrap]
        with open(f"{self.directory}/stderr", "a") as stderr:
            self.process = subprocess.Popen(
                [*words, *settings], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr, text=True
            )
        ready = self.process.stdout.readline()
        if "ready" not in ready:
            with open(f"{self.directory}/stderr") as stderr:
                said = "".join(stderr.readlines()[-5:])
            raise AssertionError(f"the broker does not start: it printed {ready!r}, and to {self.directory}/stderr:\n{said}")

    def stop(self):
        """The orderly end, which must be a success."""
        self.process.terminate()
        status = self.process.wait(60)
        assert status == 0, f"the broker left with {status}: see {self.directory}/stderr"

    def kill(self):
        self.process.kill()
        self.process.wait()
