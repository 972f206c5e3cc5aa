"""Options that several pipelines have."""

from __future__ import annotations

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from pipelines.flights.options import flights_options
from pipelines.schedule.options import schedule_options


def test_two_pipelines_of_one_process_do_not_exclude_each_other() -> None:
    flights = flights_options(["--input=a", "--output=b"])
    schedule = schedule_options(["--input=c", "--output=d", "--destination=e"])
    for options in (flights, schedule, PipelineOptions([])):
        beam.Pipeline("FnApiRunner", options=options)
        options.get_all_options()
    assert (flights.input, schedule.input) == ("a", "c")


def test_a_run_is_told_all_options_of_its_pipeline() -> None:
    options = schedule_options(["--input=c", "--output=d", "--destination=e"])
    told = options.get_all_options(drop_default=True)
    assert {"input": "c", "output": "d", "destination": "e"}.items() <= told.items()


def test_help_tells_the_pipelines_own_options(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_status:
        schedule_options(["--help"])
    assert exit_status.value.code == 0
    printed = capsys.readouterr().out
    assert all(option in printed for option in ("--input", "--output", "--destination"))


def test_all_that_is_not_given_is_asked_for_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_status:
        schedule_options(["--input=c"])
    assert exit_status.value.code == 2
    assert "--output and --destination must be given" in capsys.readouterr().err
