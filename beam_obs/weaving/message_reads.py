"""Beam's reads of Pub/Sub: their messages have an id, which is asked for where the user reads data alone."""

from __future__ import annotations

from typing import NamedTuple

from apache_beam.internal import pickler
from apache_beam.portability import common_urns, python_urns
from apache_beam.portability.api import beam_runner_api_pb2 as api

from beam_obs.records.message_identity import message_partition
from beam_obs.records.origin import Partition
from beam_obs.weaving.weave_state import WeaveState
from beam_obs.wrapper.element_forms import PLAIN, Ends

_READ_FROM_PUBSUB = "apache_beam.io.gcp.pubsub.ReadFromPubSub"
_READ_URN = common_urns.composites.PUBSUB_READ.urn


class MessagesRead(NamedTuple):
    """What a source reads of a topic or subscription.

    Args:
      partition: of its messages; None where the source reads something else.
      id_label: the attribute that tells messages apart, or None for their id.
      gives_data: whether the user takes the data of messages alone.
    """

    partition: Partition | None = None
    id_label: str | None = None
    gives_data: bool = False


def messages_read(weave: WeaveState, node_id: str) -> MessagesRead:
    """Returns what a source reads of Pub/Sub, and has it give whole messages."""
    graph = weave.graph
    if graph.python_type(node_id) != _READ_FROM_PUBSUB:
        return MessagesRead()
    place = graph.displayed(node_id, ("subscription", "topic"))
    if place is None:
        return MessagesRead(message_partition(weave.label(node_id)))
    id_label = graph.displayed(node_id, ("id_label",))
    return MessagesRead(message_partition(place), id_label, _gives_whole_messages(weave, node_id))


def _gives_whole_messages(weave: WeaveState, node_id: str) -> bool:
    """Lets a read of data alone give whole messages, as runners of both kinds know it: by the transform, or
    by its part that stands for the runner's own. Returns whether it was one of data alone."""
    graph, node = weave.graph, weave.graph.node(node_id)
    reads = [leaf for leaf in graph.leaves(node_id) if graph.node(leaf).spec.urn == _READ_URN]
    if node.spec.urn != python_urns.PICKLED_TRANSFORM or len(reads) != 1:
        return False
    spec = graph.node(reads[0]).spec
    of_runner = api.PubSubReadPayload.FromString(spec.payload)
    if of_runner.with_attributes:
        return False
    transform = pickler.loads(node.spec.payload)
    transform.with_attributes = transform._source.with_attributes = True
    node.spec.payload = pickler.dumps(transform)
    of_runner.with_attributes = True
    spec.payload = of_runner.SerializeToString()
    weave.says[reads[0]] = Ends(PLAIN, PLAIN)
    return True
