"""Random pipelines whose steps refuse records and lose none are always balanced.

`make oracle` prints how many checks held in how many pipelines.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions

import beam_obs as obs
from tests.chance import chance as chance_of
from tests.weaving.provenance import RUNNERS
from tests.weaving.random_steps import STEPS, typed
from tests.weaving.refusing_steps import AROUND, REFUSING, WITHIN
from tests.weaving.steps_of_ours import STEPS_OF_OURS

PIPELINES = {"fn_api": 40, "bundles": 30, "retried": 20}
# Bare or woven, the bundle-based runner fails where outputs of a step with timers meet before a shuffle.
WITH_TIMERS = {"state", "group into batches", "refusing batches"}
Plan = list[tuple[str, list[str]]]


def balance_of(plan: Plan, count: int, store: Path, runner: str, apart: bool = False) -> dict[str, Any]:
    """Returns the balance of a pipeline.

    Args:
      plan: what stands around the steps of each part, and the names of these; a step of ours stands alone.
      count: of the values that it begins with.
      store: an empty folder.
      runner: a name of `RUNNERS`.
      apart: whether each part takes the first values; otherwise all that there is before it.
    """
    options = PipelineOptions([f"--obs_store={store}", "--obs_report=off", "--obs_max_dead_rate=1"])
    with obs.Pipeline(RUNNERS[runner](), options, name="loses-nothing") as p:
        given = p | "one" >> beam.Create([(at % 5, frozenset([at])) for at in range(count)])
        for at, (around, names) in enumerate(plan):
            first, name = typed(given, f"{at} first"), f"{at} {around}"
            apply = STEPS_OF_OURS.get(around)
            made = AROUND[around](first, name, names) if apply is None else apply(first, name)
            if not apart:
                given = (typed(made, f"{at} made"), given) | f"{at} last" >> beam.Flatten()
    (run,) = obs.Store(str(store)).runs()
    assert run.end is not None
    assert run.status.startswith("done"), run.status
    return dict(run.end["balance"])


def random_plan(chance: random.Random, runner: str) -> Plan:
    # Of panes that fire at each third value the runner drops the rest: that is a loss.
    left_out = {"panes", *(WITH_TIMERS if runner == "bundles" else ())}
    inner = sorted({*STEPS, *REFUSING, *WITHIN} - left_out - set(STEPS_OF_OURS))
    plan: Plan = []
    for _ in range(chance.randint(1, 3)):
        around = chance.choice([*AROUND, *AROUND, *STEPS_OF_OURS])
        names = sorted({chance.choice([*REFUSING, *WITHIN]), *chance.choices(inner, k=chance.randint(0, 2))})
        plan.append((around, [name for name in names if name not in left_out]))
    return plan


@pytest.mark.slow
@pytest.mark.parametrize("around", AROUND)
def test_every_place_of_a_composite_that_refuses_balances(around: str, tmp_path: Path) -> None:
    plan = [(around, [name]) for name in (*REFUSING, *WITHIN)]
    found = balance_of(plan, 40, tmp_path, "fn_api", apart=True)
    assert found["holds"] is True, found["broken"]


@pytest.mark.oracle
@pytest.mark.parametrize("runner", sorted(RUNNERS))
def test_random_pipelines_that_lose_nothing_balance(runner: str, tmp_path: Path) -> None:
    checks, chance = 0, chance_of(runner)
    for number in range(PIPELINES[runner]):
        plan, count = random_plan(chance, runner), chance.choice([1, 7, 40])
        found = balance_of(plan, count, tmp_path / str(number), runner)
        assert not found["broken"], (plan, count, found["broken"])
        checks += found["checked"]
    print(f"{runner}: {checks} checks of {PIPELINES[runner]} random pipelines, none broken")
