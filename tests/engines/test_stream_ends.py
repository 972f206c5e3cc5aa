"""A stream that is interrupted or asked to end: its run is cancelled, and tells what it did."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

import beam_obs as obs
from beam_obs.store.evidence import dead_letters, read_evidence
from beam_obs.store.run_record import RunRecord
from tests.engines.prism import prism_options
from tests.engines.pubsub_emulator import running_emulator
from tests.patience import PATIENCE_SECONDS, wait_until
from tests.programs import Program

pytestmark = pytest.mark.engines

TOPIC, SUBSCRIPTION = "projects/test-project/topics/words", "projects/test-project/subscriptions/words"

PROGRAM = """
import sys
import apache_beam as beam
import beam_obs as obs
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms.periodicsequence import PeriodicImpulse

def refuse(word):
    raise ValueError("refused")

if __name__ == "__main__":
    runner, *arguments = sys.argv[1:]
    p = obs.Pipeline(runner, PipelineOptions(["--streaming", *arguments]), name="stream")
    if runner == "PrismRunner":
        words = p | "ticks" >> PeriodicImpulse(fire_interval=0.1)
    else:
        words = p | "read" >> obs.ReadFromPubSub(subscription="SUBSCRIPTION")
    _ = words | "parse" >> obs.Stage(beam.Map(refuse))
    p.run().wait_until_finish()
""".replace("SUBSCRIPTION", SUBSCRIPTION)


def refused_so_far() -> int:
    """Returns how many dead letters of the run are committed."""
    runs = obs.Store().runs()
    evidence = read_evidence(obs.Store(), runs[0].folder) if runs else None
    return sum(one.count for one in evidence.of_kind("dead_letters")) if evidence is not None else 0


def end_by(program: Program, number: signal.Signals) -> tuple[RunRecord, str]:
    """Ends a stream once it has kept five dead letters; returns its run, and what it printed."""
    wait_until("refused", lambda: refused_so_far() >= 5 or program.poll() is not None)
    assert program.poll() is None, program.communicate()[1]
    program.send_signal(number)
    _, errors = program.communicate(PATIENCE_SECONDS)
    (run,) = obs.Store().runs()
    return run, errors


def assert_told(run: RunRecord, errors: str) -> None:
    assert run.status == "cancelled"
    assert "stream  cancelled, " in errors
    refused = (run.end or {})["dead_letters"]
    assert refused["count"] >= 5
    # An engine that is told to stop may commit some more before it does: these are kept too.
    assert len(list(dead_letters(obs.Store(), run))) >= refused["count"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_on_prism(number: signal.Signals, start_program: Callable[..., Program]) -> None:
    program = start_program(PROGRAM, "PrismRunner", *prism_options())

    run, errors = end_by(program, number)

    assert_told(run, errors)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_on_the_direct_runner(
    number: signal.Signals, start_program: Callable[..., Program], monkeypatch: pytest.MonkeyPatch
) -> None:
    pubsub = pytest.importorskip("google.cloud.pubsub", reason="pip install 'beam_obs[gcp]'")
    with running_emulator() as address:
        monkeypatch.setenv("PUBSUB_EMULATOR_HOST", address)
        publisher = pubsub.PublisherClient()
        publisher.create_topic(name=TOPIC)
        pubsub.SubscriberClient().create_subscription(name=SUBSCRIPTION, topic=TOPIC)
        program = start_program(PROGRAM, "DirectRunner")
        for word in range(10):
            publisher.publish(TOPIC, b"%d" % word).result(30)

        run, errors = end_by(program, number)

    assert_told(run, errors)
