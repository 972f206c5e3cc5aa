"""Records that hang, kill or fail for a while, on engines whose workers are spoken to over the network."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions

import beam_obs as obs
from tests.engines.prism import prism_options
from tests.wrapper.test_isolation import dangerous
from tests.wrapper.test_retrying import CALLS, DOWN_UNTIL, behind_a_service, poisoned

pytestmark = pytest.mark.engines

QUICK = {"backoff": 0.01, "jitter": 0.0}
PROCESSES = ["--runner=FnApiRunner", "--direct_num_workers=2", "--direct_running_mode=multi_processing"]


@pytest.fixture(autouse=True)
def workers_find_the_code_of_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))


def options_of(engine: str) -> list[str]:
    return PROCESSES if engine == "processes" else ["--runner=PrismRunner", *prism_options()]


def run_stage(
    folder: Path, options: list[str], elements: list[str], stage: obs.Stage
) -> tuple[list[str], Any]:
    """Returns what a stage gave, and its dead letters."""
    with obs.Pipeline(
        options=PipelineOptions([*options, "--obs_store_shared"]), name="poison", store=str(folder / "store")
    ) as p:
        given = p | beam.Create(elements) | beam.Reshuffle() | "step" >> stage
        _ = given | "out" >> beam.io.WriteToText(str(folder / "out"))
    lines = [line for file in folder.glob("out*") for line in file.read_text().split()]
    return sorted(lines), list(obs.read_dead_letters("latest", store=str(folder / "store")))


@pytest.mark.parametrize("engine", ["processes", "prism"])
def test_records_that_end_their_process_end_no_worker(engine: str, tmp_path: Path) -> None:
    bad = ["hang", "abort", "exit"]
    good = [f"good{number}" for number in range(20)]
    stage = obs.Stage(beam.Map(dangerous), timeout=10, memory=500_000_000)

    given, letters = run_stage(tmp_path, options_of(engine), [*good, *bad], stage)

    assert given == sorted(word.upper() for word in good)
    assert sorted((letter.payload_text, letter.error_type) for letter in letters) == [
        ("abort", "beam_obs.ElementKilledProcess"),
        ("exit", "beam_obs.ElementKilledProcess"),
        ("hang", "beam_obs.ElementTimeout"),
    ]


@pytest.mark.parametrize("engine", ["processes", "prism"])
def test_a_poison_record_is_one_dead_letter_with_its_attempts(engine: str, tmp_path: Path) -> None:
    good = [f"good{number}" for number in range(20)]
    stage = obs.Stage(beam.Map(poisoned), retry=obs.Retry(attempts=3, budget=2, **QUICK))

    given, letters = run_stage(tmp_path, options_of(engine), [*good, "poison"], stage)

    assert given == sorted(good)
    assert [letter.payload_text for letter in letters] == ["poison"]
    assert letters[0].attempt >= 3


def test_a_service_that_is_down_for_two_seconds_loses_nothing_on_prism(tmp_path: Path) -> None:
    CALLS.clear()
    DOWN_UNTIL[0] = time.monotonic() + 8  # until the job has started, and two seconds more
    words = [f"{number}" for number in range(50)]

    given, letters = run_stage(
        tmp_path, options_of("prism"), words, obs.Stage(beam.Map(behind_a_service), retry=obs.Retry(**QUICK))
    )

    assert given == sorted(words)
    assert letters == []


def test_a_service_that_stays_down_fails_the_job_on_prism_and_says_so(tmp_path: Path) -> None:
    DOWN_UNTIL[0] = float("inf")
    retry = obs.Retry(attempts=2, budget=1, **QUICK)
    try:
        with pytest.raises(Exception, match="step"):
            run_stage(
                tmp_path,
                options_of("prism"),
                [f"{number}" for number in range(10)],
                obs.Stage(beam.Map(behind_a_service), retry=retry),
            )
    finally:
        DOWN_UNTIL[0] = 0
    end = obs.Store(str(tmp_path / "store")).find("latest").end
    assert end["status"] == "failed"
    assert "its service is down" in str(end)
