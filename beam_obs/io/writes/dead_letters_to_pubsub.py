"""Dead letters as Pub/Sub messages."""

from __future__ import annotations

from typing import Any

import apache_beam as beam

from beam_obs.dead_letters.homes import DeadLetters
from beam_obs.dead_letters.refused_letters import Fallback
from beam_obs.records.dead_letter import DeadLetter
from beam_obs.stages.pubsub_messages import ATTRIBUTE_BYTES, checked_message, not_a_topic, pubsub
from beam_obs.stages.stage import Stage
from beam_obs.wrapper.role import EVIDENCE, Ours
from beam_obs.wrapper.untyped import untyped

ATTRIBUTE_PREFIX = "beam_obs-"
_ATTRIBUTES = (
    "id",
    "key",
    "run",
    "pipeline",
    "stage",
    "origin",
    "source_uri",
    "position",
    "error_type",
    "fingerprint",
    "attempt",
    "code",
)


class PubSubMessages(Ours):
    """Dead letters as Pub/Sub messages: a sink for `obs.DeadLetters`.

    A message's data is the dead letter as JSON, as `obs.JsonLines` writes it. Its attributes
    ``beam_obs-id``, ``-key``, ``-run``, ``-pipeline``, ``-stage``, ``-origin``, ``-source_uri``,
    ``-position``, ``-error_type``, ``-fingerprint``, ``-attempt`` and ``-code`` are for filters of
    subscriptions: texts, cut off at 1,024 bytes, and absent where the letter has no such value. Where it has
    a ``traceparent``, that is one too.

    A letter too large for a message of 10 MB is a dead letter of this sink, whose payload is the letter as
    JSON: it goes to the run's store in an observed pipeline and to `fallback`; where there is neither it
    fails the job. Needs the extra ``gcp``.

    Args:
      topic: ``projects/<project>/topics/<topic>``.
      fallback: a folder, `obs.AvroFiles` or `obs.JsonLines` for the letters that are too large.

    Raises:
      MissingExtra: Google's client libraries are not installed.
      UsageError: the topic is not one.

    >>> import apache_beam as beam
    >>> import beam_obs as obs
    >>> p = beam.Pipeline()
    >>> with obs.DeadLetters(obs.PubSubMessages("projects/city-project/topics/refused")) as dead:
    ...     _ = p | beam.Create(["x"]) | "parse" >> obs.Stage(beam.Map(int), dead_letters=dead)
    """

    role = EVIDENCE

    def __init__(self, topic: str, *, fallback: Fallback = None) -> None:
        super().__init__()
        beams = pubsub()
        try:
            self._write = beams.WriteToPubSub(topic, with_attributes=True)
        except (ValueError, TypeError) as error:
            raise not_a_topic("obs.PubSubMessages", topic, error) from error
        self._fallback = fallback

    def expand(self, letters: Any) -> Any:
        """Publishes the letters; gives what Beam's write gives."""
        label = letters.pipeline._current_transform().full_label
        written = letters | "Json" >> beam.Map(_json).with_output_types(bytes)
        message = beam.Map(message_of).with_output_types(pubsub().PubsubMessage)
        if self._fallback is None:
            messages = Stage(label >> message).expand(written)
        else:
            with DeadLetters(self._fallback, label="Commit") as home:
                messages = Stage(label >> message, dead_letters=home).expand(written)
        return messages | "Write" >> self._write


@untyped
def message_of(written: bytes) -> Any:
    """Returns the message of a dead letter.

    Args:
      written: the dead letter as JSON.

    Raises:
      ValueError: it is too large for a message.
    """
    letter = DeadLetter.from_json(written.decode())
    attributes = {}
    for name in _ATTRIBUTES:
        value = getattr(letter, name)
        if value is not None and value != "":
            attributes[f"{ATTRIBUTE_PREFIX}{name}"] = _cut(str(value))
    if letter.traceparent:
        attributes["traceparent"] = letter.traceparent
    return checked_message(pubsub().PubsubMessage(written, attributes))


@untyped
def _json(letter: DeadLetter) -> bytes:
    return letter.to_json().encode("utf-8", "backslashreplace")


def _cut(text: str) -> str:
    return text.encode("utf-8", "backslashreplace")[:ATTRIBUTE_BYTES].decode("utf-8", "ignore")
