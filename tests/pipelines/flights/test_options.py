"""The pipeline's command line."""

from __future__ import annotations

import pathlib

import apache_beam as beam
import pytest

from pipelines.flights import batch
from pipelines.flights.options import flights_options
from pipelines.flights.reference import DATA


def test_what_is_not_given_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_status:
        flights_options(["--output=out"])
    assert exit_status.value.code == 2
    assert "--input must be given" in capsys.readouterr().err


def test_the_reference_tables_are_those_of_the_project_by_default() -> None:
    assert flights_options(["--input=in", "--output=out"]).reference_folder == str(DATA)


def test_other_pipelines_of_the_process_need_none_of_these_options() -> None:
    beam.Pipeline("FnApiRunner", argv=[])


def test_an_input_that_is_not_there_is_a_clear_error(tmp_path: pathlib.Path) -> None:
    with pytest.raises(OSError, match=r"read flights: there is no file .*missing\.csv"):
        batch.main(
            [
                "--runner=FnApiRunner",
                f"--input={tmp_path}/missing.csv",
                f"--output={tmp_path}/out",
                f"--obs_store={tmp_path}/store",
            ]
        )
