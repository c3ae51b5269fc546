"""Beside kafka-python's own tests, for pytest: mends what makes them wait for nothing now and then, with any broker.

kafka-python 3.0.12 clears the wish for metadata when an answer comes, even one that was asked for before a topic was
subscribed to. Such a topic is unknown until the next refresh, five minutes later.
"""
from kafka.cluster import ClusterMetadata

_refresh_once = ClusterMetadata._do_refresh_metadata


async def _refresh(self, node_id):
    asked = set(self._topics)
    await _refresh_once(self, node_id)
    if set(self._topics) - asked:
        self.request_update()


ClusterMetadata._do_refresh_metadata = _refresh
