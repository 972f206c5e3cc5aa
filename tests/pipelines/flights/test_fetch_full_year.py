"""The full year of flights."""

from __future__ import annotations

import pathlib

import pytest

from pipelines.flights import fetch_full_year
from pipelines.flights.reference import DATA


def test_a_complete_folder_is_left_alone(tmp_path: pathlib.Path) -> None:
    (tmp_path / ".complete").write_text("336776")
    assert fetch_full_year.fetch_full_year(tmp_path) == fetch_full_year.FLIGHTS_IN_A_YEAR
    assert [path.name for path in tmp_path.iterdir()] == [".complete"]


def test_january_of_the_full_year_is_the_january_that_is_committed(tmp_path: pathlib.Path) -> None:
    if not (fetch_full_year.FULL_YEAR / ".complete").exists():
        pytest.skip("the full year is not here: make full-year")
    january = "flights-2013-01.csv"
    assert (fetch_full_year.FULL_YEAR / january).read_bytes() == (DATA / january).read_bytes()
