"""Which message of a topic or subscription one is, so that it has the same origin however often it comes."""

from __future__ import annotations

from typing import Any

from beam_obs.records.origin import Partition, position_of_message


def message_partition(place: str) -> Partition:
    """Returns the partition of the messages of a topic or subscription.

    Args:
      place: ``projects/<project>/subscriptions/<subscription>``, or a topic.
    """
    return Partition(place, "", wide=True)


def uri_of(place: str) -> str:
    """Returns how a topic or subscription is named as a source.

    >>> uri_of("projects/city-project/topics/trips")
    'pubsub:projects/city-project/topics/trips'
    """
    return f"pubsub:{place}"


def message_position(message: Any, id_label: str | None = None) -> int | None:
    """Returns the 64-bit number that stands for the position of a message; None where it has no identity.

    Args:
      message: a `PubsubMessage`, or any with ``message_id`` and ``attributes``.
      id_label: the attribute that tells messages apart, where the read was given one; a message without it
        is known by its id, as Pub/Sub itself has it.

    >>> import types
    >>> message = types.SimpleNamespace(message_id="8842", attributes={"trip": "7"})
    >>> message_position(message) == position_of_message("8842")
    True
    >>> message_position(message, "trip") == position_of_message("7")
    True
    """
    named = (getattr(message, "attributes", None) or {}).get(id_label) if id_label else None
    identity = named or getattr(message, "message_id", None)
    return position_of_message(str(identity)) if identity else None
