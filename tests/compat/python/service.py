"""Stands in for test/service.py, which kafka-python's source package lacks: services that run already, and no others."""


class ExternalService:
    """A broker that somebody else started."""

    def __init__(self, host, port):
        self.host, self.port = host, port

    def open(self):
        pass

    def close(self):
        pass

    def stop(self):
        pass


class SpawnedService:
    """A broker to start: there is none to start here."""

    def __init__(self, args, env):
        raise NotImplementedError("KAFKA_URI=kafka://HOST:PORT names the broker to test")
