"""Pub/Sub messages held against the limits of the service, and Beam's module for them."""

from __future__ import annotations

from typing import Any

from beam_obs.records.errors import MissingExtra

MESSAGE_BYTES = 10_000_000
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
        if not name or name.startswith("goog") or len(name.encode()) > ATTRIBUTE_NAME_BYTES:
            raise ValueError(
                f"attribute {name[:50]!r} has a name that Pub/Sub does not take: 1 to {ATTRIBUTE_NAME_BYTES} "
                "bytes, not beginning with 'goog'"
            )
        if len(value.encode()) > ATTRIBUTE_BYTES:
            raise ValueError(f"attribute {name!r} has more than {ATTRIBUTE_BYTES} bytes")
    message._to_proto_str(for_publish=True)
    return message
