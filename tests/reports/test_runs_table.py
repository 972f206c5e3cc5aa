"""The table of runs shows each whole, and what is wrong with it."""

from __future__ import annotations

import io

import pytest
from rich.cells import cell_len
from rich.console import Console

from beam_obs.reports.console import print_plainly
from beam_obs.reports.runs_table import render_runs
from tests.reports.recorded_run import run


@pytest.mark.parametrize("columns", [40, 60, 100])
def test_ids_and_names_of_runs_are_whole_where_the_terminal_is_narrow(columns: int) -> None:
    file = io.StringIO()
    print_plainly(Console(file=file, width=columns), render_runs([run(status="failed")]))
    lines = file.getvalue().splitlines()
    assert max(cell_len(line) for line in lines) <= columns
    assert any("0193aaaa-1111" in line and "flights" in line and "failed" in line for line in lines)
    assert ("code" in lines[1]) == (columns == 100)


def test_the_list_of_runs_shows_refusals_and_broken_balances() -> None:
    file = io.StringIO()
    broken = {"holds": False, "checked": 1, "broken": []}
    print_plainly(Console(file=file, width=100), render_runs([run(balance=broken)]))
    assert "done, 14 dead, not balanced" in file.getvalue()
