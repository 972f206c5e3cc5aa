"""One trace in a real Jaeger: from a producer through two pipelines to a consumer, over Google's emulator."""

from __future__ import annotations

import contextlib
import os
import pathlib
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.engines.jaeger import Jaeger, running_jaeger
from tests.engines.pubsub_emulator import running_emulator

pytestmark = pytest.mark.engines
pytest.importorskip("google.cloud.pubsub", reason="pip install 'beam_obs[gcp]'")

PLACES = ("orders", "doubled", "answers")
RARELY = "--obs_trace_share=0.0000001"


@pytest.fixture(scope="module")
def jaeger() -> Iterator[Jaeger]:
    with running_jaeger() as found:
        yield found


@pytest.fixture
def variables(
    jaeger: Jaeger, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, str]]:
    with running_emulator() as address:
        monkeypatch.setenv("PUBSUB_EMULATOR_HOST", address)
        from google.cloud import pubsub

        publisher, subscriber = pubsub.PublisherClient(), pubsub.SubscriberClient()
        for place in PLACES:
            publisher.create_topic(name=topic(place))
            subscriber.create_subscription(name=subscription(place), topic=topic(place))
        kept = {name: text for name, text in os.environ.items() if not name.startswith("OTEL_")}
        yield kept | {
            "OTEL_EXPORTER_OTLP_ENDPOINT": jaeger.http,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "PUBSUB_EMULATOR_HOST": address,
            "PYTHONPATH": os.pathsep.join(sys.path),
        }


def topic(place: str) -> str:
    return f"projects/test-project/topics/{place}"


def subscription(place: str) -> str:
    return f"projects/test-project/subscriptions/{place}"


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "tests.engines.traced_messages", *arguments]


def printed_by(variables: dict[str, str], *arguments: str) -> str:
    done = subprocess.run(command(*arguments), env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@contextlib.contextmanager
def running_pipeline(
    variables: dict[str, str], name: str, read: str, taken: str, given: str
) -> Iterator[None]:
    """Runs a pipeline in a process of its own, while the block lasts."""
    options = [f"--obs_pipeline={name}", RARELY, "--obs_report=off"]
    with open(f"{name}.log", "w") as log:
        process = subprocess.Popen(
            command("pipeline", read, subscription(taken), topic(given), *options),
            env=variables,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n", pathlib.Path(f"{name}.log").read_text()
        yield
    finally:
        process.kill()
        process.wait(30)


def service_of(trace: dict[str, Any], span: dict[str, Any]) -> str:
    return str(trace["processes"][span["processID"]]["serviceName"])


def parent_id(span: dict[str, Any]) -> str | None:
    found = [one["spanID"] for one in span["references"] if one["refType"] == "CHILD_OF"]
    return found[0] if found else None


def way_to(trace: dict[str, Any], span: dict[str, Any]) -> list[tuple[str, str]]:
    """Returns service and name of a span and of those above it, from the first on."""
    by_id = {one["spanID"]: one for one in trace["spans"]}
    way: list[tuple[str, str]] = []
    current: dict[str, Any] | None = span
    while current is not None:
        way.insert(0, (service_of(trace, current), current["operationName"]))
        above = parent_id(current)
        current = by_id[above] if above is not None else None
    return way


def test_a_message_is_one_trace_from_its_producer_to_its_consumer(
    jaeger: Jaeger, variables: dict[str, str]
) -> None:
    """The pipelines trace one record in ten million, and those that come with the flag for it."""
    with (
        running_pipeline(variables, "first", "ours", "orders", "doubled"),
        running_pipeline(variables, "second", "beams", "doubled", "answers"),
    ):
        trace_id = printed_by(variables, "produce", topic("orders"), "7")
        assert printed_by(variables, "consume", subscription("answers")) == "28"
        trace = jaeger.trace(trace_id, lambda one: "answers process" in names_in(one))

    (process,) = [span for span in trace["spans"] if span["operationName"] == "answers process"]
    assert way_to(trace, process) == [
        ("producer", "order"),
        ("producer", "orders create"),
        ("first", "receive/Read"),
        ("first", "receive"),
        ("first", "double"),
        ("first", "send"),
        ("second", "receive"),
        ("second", "double"),
        ("second", "send"),
        ("consumer", "answers subscribe"),
        ("consumer", "answers process"),
    ]
    (sent,) = [
        span
        for span in trace["spans"]
        if (service_of(trace, span), span["operationName"]) == ("second", "send")
    ]
    links = [one["spanID"] for one in process["references"] if one["refType"] == "FOLLOWS_FROM"]
    assert links == [sent["spanID"]]
    # Each pipeline knows the record by an origin of its own, and says so.
    origins = {name: tags_of(trace, name, "double")["beam.origin"] for name in ("first", "second")}
    assert len({*origins.values(), trace_id}) == 3
    for name, place in (("first", "orders"), ("second", "doubled")):
        read = tags_of(trace, name, "receive/Read" if name == "first" else "receive")
        assert read["beam.source.uri"] == f"pubsub:{subscription(place)}"
        assert read["beam.origin"] == origins[name]
    received, gave = tags_of(trace, "first", "receive"), tags_of(trace, "first", "send")
    assert received["messaging.system"] == gave["messaging.system"] == "gcp_pubsub"
    assert received["messaging.destination.subscription.name"] == "orders"
    assert received["messaging.message.id"].isdigit()
    assert gave["messaging.destination.name"] == "doubled"


def tags_of(trace: dict[str, Any], service: str, name: str) -> dict[str, Any]:
    (span,) = [
        one for one in trace["spans"] if (service_of(trace, one), one["operationName"]) == (service, name)
    ]
    return {tag["key"]: tag["value"] for tag in span["tags"]}


def names_in(trace: dict[str, Any]) -> set[str]:
    return {span["operationName"] for span in trace["spans"]}
