"""Pub/Sub, spoken to with Google's own client, in Google's emulator."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions

import beam_obs as obs
from beam_obs.lineage import why
from beam_obs.metrics.live import live_counts
from beam_obs.metrics.tally import Counts
from beam_obs.records.dead_letter import DeadLetter
from beam_obs.records.message_identity import message_partition
from beam_obs.records.origin import position_of_message
from beam_obs.store.evidence import read_evidence
from tests.engines.pubsub_emulator import running_emulator
from tests.io.pipelines import RUNNER, Keeper
from tests.patience import PATIENCE_SECONDS, wait_until

pytestmark = pytest.mark.engines
pytest.importorskip("google.cloud.pubsub", reason="pip install 'beam_obs[gcp]'")


@pytest.fixture(scope="module")
def emulator() -> Iterator[str]:
    with running_emulator() as address:
        yield address


class Topic:
    """A topic with a subscription."""

    def __init__(self) -> None:
        from google.cloud import pubsub

        name = f"topic-{uuid.uuid4().hex[:8]}"
        self.path = f"projects/test-project/topics/{name}"
        self.subscription = f"projects/test-project/subscriptions/{name}"
        self._publisher, self._subscriber = pubsub.PublisherClient(), pubsub.SubscriberClient()
        self._publisher.create_topic(name=self.path)
        self._subscriber.create_subscription(name=self.subscription, topic=self.path)

    def publish(self, data: bytes) -> None:
        self._publisher.publish(self.path, data).result(30)

    def messages(self, count: int, seconds: float = PATIENCE_SECONDS) -> list[Any]:
        """Returns the messages that come, as soon as there are so many."""
        found: list[Any] = []
        deadline = time.monotonic() + seconds
        while len(found) < count and time.monotonic() < deadline:
            answer = self._subscriber.pull(
                subscription=self.subscription, max_messages=100, timeout=5, return_immediately=True
            )
            found += [one.message for one in answer.received_messages]
            if answer.received_messages:
                ids = [one.ack_id for one in answer.received_messages]
                self._subscriber.acknowledge(subscription=self.subscription, ack_ids=ids)
        return found


@pytest.fixture
def topic(emulator: str, monkeypatch: pytest.MonkeyPatch) -> Topic:
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", emulator)
    return Topic()


def test_messages_are_published_and_those_beyond_a_limit_are_dead_letters(topic: Topic) -> None:
    dead = Keeper()

    with beam.Pipeline(RUNNER) as p:
        messages = p | beam.Create([b"one", b"", b"x" * 10_000_001, b"two"])
        _, letters = messages | "publish" >> obs.WriteToPubSub(topic.path).with_dead_letters()
        _ = letters | beam.Map(dead)

    assert sorted(message.data for message in topic.messages(2)) == [b"one", b"two"]
    assert sorted(len(letter.payload) for letter in dead.elements) == [0, 10_000_001]


def test_messages_with_attributes_are_published(topic: Topic) -> None:
    from apache_beam.io.gcp.pubsub import PubsubMessage

    with obs.Pipeline(RUNNER, name="publishes") as p:
        good, bad = PubsubMessage(b"one", {"kind": "a"}), PubsubMessage(b"two", {"kind": "a" * 1025})
        write = obs.WriteToPubSub(topic.path, with_attributes=True)
        _ = p | beam.Create([good, bad]) | "publish" >> write

    (message,) = topic.messages(1)
    run = obs.Store(".beam_obs").runs("publishes")[0]
    attributes = dict(message.attributes)
    assert (message.data, attributes["kind"], attributes["beam_obs-run"]) == (b"one", "a", run.id)
    assert attributes["traceparent"].split("-")[1] == attributes["beam_obs-origin"]
    assert run.end["dead_letters"]["by_stage"] == {"publish": 1}
    assert [one["uri"] for one in run.end["outputs"]] == [f"pubsub:{topic.path}"]
    assert run.end["balance"]["holds"]


def test_dead_letters_are_published_with_what_filters_need(topic: Topic) -> None:
    with beam.Pipeline(RUNNER) as p, obs.DeadLetters(obs.PubSubMessages(topic.path)) as dead:
        _ = p | beam.Create(["1", "é"]) | "parse" >> obs.Stage(beam.Map(int), dead_letters=dead)

    (message,) = topic.messages(1)
    letter = DeadLetter.from_json(message.data.decode())
    assert (letter.stage, letter.payload_text) == ("parse", "é")
    attributes = dict(message.attributes)
    assert attributes["beam_obs-stage"] == "parse"
    assert attributes["beam_obs-error_type"] == "ValueError"
    assert attributes["beam_obs-id"] == letter.id
    assert "beam_obs-origin" not in attributes


def test_a_dead_letter_too_large_for_a_message_is_kept_elsewhere(topic: Topic) -> None:
    import glob

    with beam.Pipeline(RUNNER) as p:
        sink = obs.PubSubMessages(topic.path, fallback=obs.JsonLines("large"))
        with obs.DeadLetters(sink) as dead:
            lines = p | beam.Create(["x" * 9_000_000, "small"])
            _ = lines | "parse" >> obs.Stage(beam.Map(int), dead_letters=dead)

    assert [DeadLetter.from_json(one.data.decode()).payload_text for one in topic.messages(1)] == ["small"]
    (name,) = glob.glob("large/dead_letters-*.jsonl")
    with open(name) as file:
        kept = DeadLetter.from_json(file.readline())
    assert kept.stage == "DeadLetters/Sink"
    assert DeadLetter.from_json(kept.payload.decode()).stage == "parse"


def test_a_subscription_is_a_source(topic: Topic) -> None:
    """The direct runner reads the emulator as it reads the service."""
    answers = Topic()
    p = obs.Pipeline("DirectRunner", options=PipelineOptions(["--streaming"]), name="listens")
    source = obs.Source(beam.io.ReadFromPubSub(subscription=topic.subscription), dataset="events")
    _ = p | "events" >> source | beam.Map(bytes.upper) | "answer" >> obs.WriteToPubSub(answers.path)

    result = p.run()
    try:
        topic.publish(b"hello")
        (answer,) = answers.messages(1)
        assert answer.data == b"HELLO"
        assert answer.attributes["beam_obs-pipeline"] == "listens"
        assert answer.attributes["beam_obs-origin"]
    finally:
        result.cancel()


def test_every_form_of_read_knows_messages_by_their_ids(topic: Topic) -> None:
    topics = {form: Topic() for form in ("ours", "whole", "decoded", "beams", "beams_whole")}
    places = {form: one.subscription for form, one in topics.items()}
    reads: dict[str, Any] = {
        "ours": obs.ReadFromPubSub(subscription=places["ours"]),
        "whole": obs.ReadFromPubSub(subscription=places["whole"], with_attributes=True),
        "decoded": obs.ReadFromPubSub(subscription=places["decoded"], decode=json.loads),
        "beams": beam.io.ReadFromPubSub(subscription=places["beams"]),
        "beams_whole": beam.io.ReadFromPubSub(subscription=places["beams_whole"], with_attributes=True),
    }
    p = obs.Pipeline("DirectRunner", options=PipelineOptions(["--streaming"]), name="forms")
    for form, read in reads.items():
        texts = p | form >> read | f"text {form}" >> beam.Map(as_text, form)
        _ = texts | f"answer {form}" >> obs.WriteToPubSub(topic.path)

    # The direct runner waits half a minute at each topic in turn: all is there when it comes.
    for one in topics.values():
        one.publish(b'"hello"')
    topics["decoded"].publish(b"torn")
    result = p.run()
    try:
        answers = {message.data: message.attributes for message in topic.messages(len(reads))}
        run = result.beam_obs_run.record.id
        wait_until("refused", lambda: live_counts(run).get("decoded", Counts()).dead == 1)
    finally:
        result.cancel()

    assert sorted(answers) == sorted(
        f"{form} {'hello' if form == 'decoded' else chr(34) + 'hello' + chr(34)}".encode() for form in topics
    )
    # The emulator numbers its messages from 1 on, over all topics.
    positions = [position_of_message(str(number)) for number in range(1, 1000)]
    for data, attributes in answers.items():
        partition = message_partition(places[data.decode().split()[0]])
        assert attributes["beam_obs-origin"] in {partition.origin(position).hex() for position in positions}
        (source,) = why(attributes["beam_obs-origin"]).made_of
        assert source.partition.name == places[data.decode().split()[0]]
    (letter,) = list(obs.read_dead_letters(run))
    assert (letter.payload, letter.stage, letter.error_type) == (b"torn", "decoded", "beam_obs.BadMessage")
    assert (letter.position, letter.source_uri) == (None, f"pubsub:{places['decoded']}")
    inputs = {one["uri"] for one in obs.Store().runs("forms")[0].start["inputs"]}
    assert {f"pubsub:{places[form]}" for form in ("ours", "whole", "decoded")} <= inputs


def as_text(element: Any, form: str) -> bytes:
    data = getattr(element, "data", element)
    return f"{form} {data.decode() if isinstance(data, bytes) else data}".encode()


def test_a_plain_pipeline_reads_messages_and_gives_those_that_it_refuses(topic: Topic) -> None:
    answers = Topic()
    p = beam.Pipeline("DirectRunner", options=PipelineOptions(["--streaming"]))
    read = obs.ReadFromPubSub(subscription=topic.subscription, decode=json.loads, stamp=True)
    trips, dead = p | "trips" >> read.with_dead_letters()
    told = trips | "told" >> beam.Map(lambda trip: trip["_lineage"]["origin"].encode())
    refused = dead | "refused" >> beam.Map(lambda letter: letter.payload)
    _ = (told, refused) | beam.Flatten() | "answer" >> beam.io.WriteToPubSub(answers.path)
    result = p.run()
    try:
        topic.publish(b'{"fare": 5}')
        topic.publish(b"torn")
        found = {message.data.decode() for message in answers.messages(2)}
    finally:
        result.cancel()

    partition = message_partition(topic.subscription)
    (origin,) = found - {"torn"}
    assert origin in {partition.origin(position_of_message(str(number))).hex() for number in range(1, 1000)}


def test_a_stream_that_is_cancelled_keeps_what_it_refused(topic: Topic) -> None:
    """The direct runner acknowledges messages before it looks at them: what waited to be written was lost."""
    p = obs.Pipeline("DirectRunner", options=PipelineOptions(["--streaming"]), name="cancelled")
    source = obs.Source(beam.io.ReadFromPubSub(subscription=topic.subscription), dataset="events")
    _ = p | "events" >> source | "parse" >> obs.Stage(beam.Map(int))
    result = p.run()
    for number in range(5):
        topic.publish(b"%d" % number)
        topic.publish(b"bad %d" % number)
    run = result.beam_obs_run.record
    wait_until("refused", lambda: live_counts(run.id).get("parse", Counts()).dead == 5)
    # A bundle that is under way when the stream is cancelled is not committed; they are short.
    wait_until("committed", lambda: committed(run.folder) == 5)

    result.cancel()

    refused = obs.Store().runs("cancelled")[0].end["dead_letters"]
    assert refused["in_files"] == {"parse": 5}
    assert refused["not_kept"] == {}
    assert (refused["count"], refused["uncommitted"]) == (5, 0)


def committed(folder: str) -> int:
    """Returns how many dead letters of a run manifests name."""
    return sum(manifest.count for manifest in read_evidence(obs.Store(), folder).of_kind("dead_letters"))
