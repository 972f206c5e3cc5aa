"""Random pipelines that lose nothing are never said to have lost anything, by the sums of origins.

`make oracle` prints how many edges were held against each other, of how many.
"""

from __future__ import annotations

import tempfile
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.transforms import window

from beam_obs.records.weave_report import IN_NO_WINDOW
from beam_obs.runs.ledger import Ledger, ledger_of
from beam_obs.store.evidence import read_evidence, summarize_ledger
from beam_obs.store.store import Store
from tests.chance import chance as chance_of
from tests.weaving.provenance import RUNNERS, run_woven
from tests.weaving.random_steps import STEPS, SUPERSETS, typed
from tests.weaving.test_oracle import build, names_for

WINDOWED = {"fn_api": 40, "bundles": 20, "retried": 20}
# Beam has no default of an aggregate of all in a window.
WITH_DEFAULTS = {"globally", "globally with arguments"}
PIPELINES = {"fn_api": 100, "bundles": 50, "retried": 50}
# Of panes that fire at each third value the runner drops the rest: that is a loss.
LOSING = {"panes"}


def ledger(names: list[str], branches: list[str], count: int, runner: str) -> Ledger:
    """Returns the ledger of a pipeline of two branches."""
    return ledger_of_run(build(names, branches, count), runner)


def in_windows(names: list[str], count: int, windows: Any) -> Any:
    """Returns what makes a pipeline whose elements are in windows from the beginning."""

    def construct(pipeline: Any) -> Any:
        values = [(at % 5, frozenset([at])) for at in range(count)]
        given = [
            pipeline
            | "one" >> beam.Create(values)
            | "times" >> beam.Map(lambda value: window.TimestampedValue(value, min(value[1])))
            | "windows" >> beam.WindowInto(windows)
        ]
        for at, name in enumerate(names):
            given.append(typed(STEPS[name](typed(given[-1], f"{at} given"), f"{at} {name}"), f"{at}"))
        return given

    return construct


def ledger_of_run(build: Any, runner: str) -> Ledger:
    with tempfile.TemporaryDirectory() as folder:
        ran = run_woven(build, folder, runner)
        sums = summarize_ledger(read_evidence(Store(folder), ""))
    return ledger_of(ran.report, sums, lambda label: label, has_counts=True)


@pytest.mark.parametrize("name", [name for name in (*STEPS, *SUPERSETS) if name not in LOSING])
@pytest.mark.slow
def test_every_step_balances(name: str) -> None:
    found = ledger([name], ["map"], 12, "fn_api")
    assert not found.unchecked
    assert [edge.text for edge in found.broken] == []
    # Edges of dead letters alone are not checked: what a step refuses is not among what it gives.
    edges = [edge for edge in found.edges if "/Letters of " not in edge.consumer]
    assert len(found.checked) >= 0.7 * len(edges)


@pytest.mark.oracle
@pytest.mark.parametrize("runner", sorted(RUNNERS))
def test_random_pipelines_that_lose_nothing_balance(runner: str) -> None:
    names = [name for name in names_for(runner) if name not in LOSING]
    checked, edges, chance = 0, 0, chance_of(runner)
    for _ in range(PIPELINES[runner]):
        steps = [chance.choice(names) for _ in range(chance.randint(2, 5))]
        branches = [chance.choice(names) for _ in range(chance.randint(0, 2))]
        found = ledger(steps, branches, chance.choice([1, 20, 200]), runner)
        assert [edge.text for edge in found.broken] == [], (steps, branches)
        checked += len(found.checked)
        edges += len(found.edges)
    print(f"{runner}: {checked} of {edges} edges of {PIPELINES[runner]} random pipelines, none broken")


@pytest.mark.oracle
@pytest.mark.parametrize("runner", sorted(RUNNERS))
def test_random_windowed_pipelines_that_lose_nothing_balance(runner: str) -> None:
    names = sorted(set(names_for(runner)) - LOSING - WITH_DEFAULTS)
    checked, by_window, chance = 0, 0, chance_of(f"windows {runner}")
    for at in range(WINDOWED[runner]):
        steps = [chance.choice(names) for _ in range(chance.randint(1, 4))]
        count, size = chance.choice([1, 20, 200]), chance.choice([3, 50])
        windows = window.SlidingWindows(2 * size, size) if at % 2 else window.FixedWindows(size)
        found = ledger_of_run(in_windows(steps, count, windows), runner)
        assert [edge.text for edge in found.broken] == [], steps
        checked += len(found.checked)
        by_window += sum(edge.by_window for edge in found.edges)
    print(f"{runner}: {by_window} of {checked} edges by window, none broken")


@pytest.mark.parametrize("windows", [window.FixedWindows(7), window.SlidingWindows(9, 3)])
def test_windows_of_common_steps_are_held_against_each_other(windows: Any) -> None:
    names = ["filter", "group", "tags", "combine", "reshuffle"]
    found = ledger_of_run(in_windows(names, 60, windows), "fn_api")
    assert [edge.text for edge in found.broken] == []
    assert {edge.consumer: edge.whole for edge in found.edges if not edge.by_window} == dict.fromkeys(
        ["one/Map(decode)", "times", "windows"], IN_NO_WINDOW
    )


@pytest.mark.slow
def test_hot_keys_that_come_at_the_end_of_their_window_are_in_the_next_one() -> None:
    # What waits for a batch comes when its window ends: Beam's second half takes it for one of the next.
    names = ["group into batches", "hot keys with arguments", "hot keys with arguments"]
    found = ledger_of_run(in_windows(names, 40, window.FixedWindows(3)), "fn_api")
    assert [edge.text for edge in found.broken] == []
