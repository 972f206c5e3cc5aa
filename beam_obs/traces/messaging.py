"""What spans tell of the messages that they receive and send, as OpenTelemetry's conventions have it.

https://opentelemetry.io/docs/specs/semconv/messaging/gcp-pubsub/
"""

from __future__ import annotations

from typing import Any

SYSTEM = "messaging.system"
PUBSUB = "gcp_pubsub"
OPERATION = "messaging.operation.name"
TOPIC = "messaging.destination.name"
SUBSCRIPTION = "messaging.destination.subscription.name"
MESSAGE_ID = "messaging.message.id"
BODY_SIZE = "messaging.message.body.size"
PROJECT = "gcp.project_id"


def tell_received(place: str, message: Any) -> None:
    """Tells the current span, if it is recorded, which message it is about.

    Args:
      place: topic or subscription that it came from.
      message: a `PubsubMessage`.
    """
    _tell(place, "receive", message.message_id, len(message.data or b""))


def tell_sent(topic: str, message: Any) -> None:
    """Tells the current span, if it is recorded, where a message goes.

    Args:
      topic: that it is published to.
      message: a `PubsubMessage`.
    """
    _tell(topic, "send", None, len(message.data or b""))


def _tell(place: str, operation: str, message_id: str | None, size: int) -> None:
    from opentelemetry import trace

    span = trace.get_current_span()
    if not span.is_recording():
        return
    _, project, kind, name = place.split("/", 3)
    told: dict[str, Any] = {SYSTEM: PUBSUB, OPERATION: operation, PROJECT: project, BODY_SIZE: size}
    told[SUBSCRIPTION if kind == "subscriptions" else TOPIC] = name
    if message_id is not None:
        told[MESSAGE_ID] = message_id
    span.set_attributes(told)
