"""Pub/Sub messages held against the limits of the service, and Beam's module for them."""

from __future__ import annotations

from typing import Any

from beam_obs.records.errors import MissingExtra, UsageError
from beam_obs.records.lineage_attributes import ATTRIBUTE_PREFIX, LineageAttributes
from beam_obs.traces.outgoing import outgoing_trace, with_trace
from beam_obs.traces.propagation import OF_CLIENTS
from beam_obs.wrapper.untyped import untyped

ATTRIBUTE_BYTES = 1024
ATTRIBUTE_NAME_BYTES = 256
ATTRIBUTES = 100
"""https://cloud.google.com/pubsub/quotas#resource_limits"""


def pubsub() -> Any:
    """Returns Beam's module for Pub/Sub.

    Raises:
      MissingExtra: Google's client libraries are not installed.
    """
    try:
        import google.cloud.pubsub  # noqa: F401
        from apache_beam.io.gcp import pubsub as beams
    except ImportError as error:
        raise MissingExtra("Pub/Sub", "gcp") from error
    return beams


def not_a_topic(transform: str, topic: Any, error: Exception) -> UsageError:
    """Returns what to raise where Beam refuses a topic."""
    return UsageError(f"{transform} got topic={topic!r}: {error}; give 'projects/<project>/topics/<topic>'")


@untyped
def checked_message(message: Any) -> Any:
    """Gives back a `PubsubMessage` that the service takes.

    Raises:
      TypeError: it is none, or an attribute is no text.
      ValueError: it is beyond a limit of the service, or empty.
    """
    if not isinstance(message, pubsub().PubsubMessage):
        raise TypeError(f"a PubsubMessage is expected, got {type(message).__qualname__}")
    attributes = message.attributes or {}
    if not message.data and not attributes:
        raise ValueError("a message without attributes must not be empty")
    if len(attributes) > ATTRIBUTES:
        raise ValueError(f"a message has at most {ATTRIBUTES} attributes, this has {len(attributes)}")
    for name, value in attributes.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError(f"attribute {name!r} is no text")
        is_googles = name.startswith("goog") and not name.startswith(OF_CLIENTS)
        if not name or is_googles or len(name.encode()) > ATTRIBUTE_NAME_BYTES:
            raise ValueError(
                f"attribute {name[:50]!r} has a name that Pub/Sub does not take: 1 to {ATTRIBUTE_NAME_BYTES} "
                f"bytes, not beginning with 'goog' (but for {OF_CLIENTS!r})"
            )
        if len(value.encode()) > ATTRIBUTE_BYTES:
            raise ValueError(f"attribute {name!r} has more than {ATTRIBUTE_BYTES} bytes")
    message._to_proto_str(for_publish=True)
    return message


def is_message(value: Any) -> bool:
    """Returns whether a value is a `PubsubMessage`, without importing Google's libraries."""
    kind = type(value)
    return kind.__name__ == "PubsubMessage" and kind.__module__.startswith("apache_beam.io.gcp.")


def stamped_message(message: Any, attributes: LineageAttributes) -> Any:
    """Returns a `PubsubMessage` with lineage attributes, and with the trace that the record takes with it.

    A trace of another id that the message has stays. An attribute that is longer than Pub/Sub takes is left
    out. So are lineage attributes that the message came with: they tell of the sources of an earlier run.
    """
    kept = {
        name: value
        for name, value in (message.attributes or {}).items()
        if not (name.startswith(ATTRIBUTE_PREFIX) and name[len(ATTRIBUTE_PREFIX) :] in attributes)
    }
    origin = attributes["origin"]
    if origin is not None:
        outgoing = outgoing_trace(bytes.fromhex(origin), attributes["run"])
        kept = with_trace(kept, outgoing, ATTRIBUTE_BYTES)
    added = {
        f"{ATTRIBUTE_PREFIX}{name}": str(value)
        for name, value in attributes.items()
        if value is not None and len(str(value).encode()) <= ATTRIBUTE_BYTES
    }
    return type(message)(
        message.data,
        {**kept, **added},
        message.message_id,
        message.publish_time,
        message.ordering_key,
    )
