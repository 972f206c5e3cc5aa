from __future__ import annotations

import json
import sys
from typing import Any

import apache_beam as beam
import pytest

import beam_obs as obs
from tests.io.pipelines import RUNNER, Keeper

pytest.importorskip("google.cloud.pubsub", reason="pip install 'beam_obs[gcp]'")

from apache_beam.io.gcp.pubsub import PubsubMessage

from beam_obs.io.writes.dead_letters_to_pubsub import message_of
from beam_obs.stages.pubsub_messages import checked_message

TOPIC = "projects/test-project/topics/dead"


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        (b"bytes", "a PubsubMessage is expected"),
        (PubsubMessage(b"", {}), "must not be empty"),
        (PubsubMessage(b"x" * 10_000_001, {}), "10MB"),
        (PubsubMessage(b"x", {str(number): "" for number in range(101)}), "at most 100 attributes"),
        (PubsubMessage(b"x", {"a": "é" * 513}), "more than 1024 bytes"),
        (PubsubMessage(b"x", {"é" * 129: "a"}), "a name that Pub/Sub does not take"),
        (PubsubMessage(b"x", {"": "a"}), "a name that Pub/Sub does not take"),
        (PubsubMessage(b"x", {"google": "a"}), "a name that Pub/Sub does not take"),
        (PubsubMessage(b"x", {"a": 1}), "is no text"),
    ],
)
def test_a_message_that_the_service_would_refuse_is_refused(message: Any, complaint: str) -> None:
    with pytest.raises((TypeError, ValueError), match=complaint):
        checked_message(message)


@pytest.mark.parametrize(
    "message",
    [
        PubsubMessage(b"x" * 9_999_000, {}),
        PubsubMessage(b"", {"a": ""}),
        PubsubMessage(b"x", {"googclient_traceparent": "a"}),
        PubsubMessage(b"x", {"é" * 128: "é" * 512}),
    ],
)
def test_a_message_within_the_limits_is_passed_on(message: Any) -> None:
    assert checked_message(message) is message


def test_attributes_of_a_dead_letter_are_texts_within_the_limits() -> None:
    found = Keeper()
    with beam.Pipeline(RUNNER) as p:
        records = p | beam.Create([{"a": "x", "_lineage": {"origin": "0" * 32, "position": 7}}])
        label = "é" * 600
        _, letters = records | label >> obs.Stage(beam.Map(lambda row: int(row["a"]))).with_dead_letters()
        _ = letters | "letters" >> beam.Map(found)

    message = message_of(found.elements[0].to_json().encode())

    assert message.attributes["beam_obs-stage"] == "é" * 512
    assert (message.attributes["beam_obs-origin"], message.attributes["beam_obs-position"]) == ("0" * 32, "7")
    assert all(isinstance(value, str) and value for value in message.attributes.values())
    assert json.loads(message.data)["stage"] == label


def test_a_topic_that_is_none_is_told_when_the_pipeline_is_built() -> None:
    for sink in (obs.PubSubMessages, obs.WriteToPubSub):
        with pytest.raises(ValueError, match="projects/<project>/topics"):
            sink("dead")


def test_without_googles_libraries_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "google.cloud.pubsub", None)

    for sink in (obs.PubSubMessages, obs.WriteToPubSub):
        with pytest.raises(obs.MissingExtra, match=r"Pub/Sub needs .*beam_obs\[gcp\]"):
            sink(TOPIC)
