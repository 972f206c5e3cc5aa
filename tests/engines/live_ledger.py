"""A stream that loses an element in one of its windows, and goes on: what is told of it while it runs."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms.periodicsequence import PeriodicImpulse
from apache_beam.transforms.window import FixedWindows
from click.testing import CliRunner

import beam_obs as obs
from beam_obs.cli.main import beam_obs as command
from beam_obs.dead_letters import evidence_writer
from beam_obs.metrics.own_families import RUN_BALANCED
from beam_obs.runs import committed_so_far, live_ledger, watcher
from beam_obs.store.numbers_of_run import numbers_of_run
from tests.faulty_runner import DROP, Fault
from tests.patience import PATIENCE_SECONDS


class DropOnce(Fault):
    """Loses the third element that comes to a worker process."""

    came = 0

    def __init__(self) -> None:
        super().__init__(DROP, 1)

    def process(self, element: Any) -> list[Any]:
        DropOnce.came += 1
        return [] if DropOnce.came == 3 else [element]


def hasten(patch: pytest.MonkeyPatch) -> None:
    """Lets what takes some ten seconds take one or two."""
    patch.setattr(evidence_writer, "STREAMING_SECONDS", 1)
    patch.setattr(committed_so_far, "LOOK_SECONDS", 1.0)
    patch.setattr(live_ledger, "SETTLED_SECONDS", 4.0)
    patch.setattr(watcher, "LIVE_SECONDS", 1.0)


def run_stream(runner: Any, *options: str) -> Any:
    """Returns the result of a stream that runs until it is cancelled."""
    given = PipelineOptions([*options, "--streaming"])
    p = obs.Pipeline(runner, given, name="live")
    start = time.time()
    (
        p
        | "read" >> PeriodicImpulse(start, start + 10 * PATIENCE_SECONDS, 0.25)
        | "pairs" >> beam.Map(lambda _: ("a", 1)).with_output_types(tuple[str, int])
        | "windows" >> beam.WindowInto(FixedWindows(2))
        | "same" >> beam.Map(lambda pair: pair).with_output_types(tuple[str, int])
        | "some" >> beam.Filter(lambda pair: pair[1])
        | "sum" >> beam.CombinePerKey(sum)
        | "last" >> beam.Map(str)
    )
    return p.run()


def balance_of() -> tuple[int, dict[str, Any]]:
    """Returns the exit code of the command, and what it says as JSON."""
    told = CliRunner().invoke(command, ["balance", "live@latest", "--json"])
    return told.exit_code, json.loads(told.output)


def wait_for(is_told: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    """Returns what the command says of a run that lives once it says what is waited for."""
    ends = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < ends:
        _, told = balance_of()
        assert told["status"] == "running"
        if told["ledger"] and is_told(told["ledger"]):
            return told
        time.sleep(0.5)
    pytest.fail(f"not told in {PATIENCE_SECONDS:g} s: {told}")


def check_loss_is_told_while_it_runs(result: Any) -> None:
    """Waits for the window of the loss, and for later windows that are whole; then cancels the run."""
    try:
        told = wait_for(lambda ledger: ledger["holds"] is False)
        (edge,) = [edge for edge in told["ledger"]["edges"] if edge.get("text")]
        assert (edge["from"], edge["to"], edge["lost"], edge["added"]) == (["same"], "some", 1, 0)
        (window,) = edge["windows"]
        assert window["lost"] == 1
        assert told["holds"] is False
        shown = CliRunner().invoke(command, ["balance", "live@latest"])
        assert shown.exit_code == 1
        assert f"window {window['window']}: 1 lost" in shown.output
        families = {one.name: one for one in numbers_of_run(obs.Store().find("live@latest")).families}
        assert families[RUN_BALANCED].samples[0].value == 0
        until = edge["until"]
        wait_for(lambda ledger: any((one.get("until") or 0) >= until + 4 for one in ledger["edges"]))
        (edge,) = [edge for edge in balance_of()[1]["ledger"]["edges"] if edge.get("text")]
        assert (edge["to"], edge["windows"]) == ("some", [window])
    finally:
        result.cancel()
