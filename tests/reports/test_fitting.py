"""Long tables are printed as short ones are, in a fraction of the time."""

from __future__ import annotations

import io
import random
import re

import pytest
from rich import box
from rich.console import Console
from rich.text import Text

from beam_obs.reports import fitting
from beam_obs.reports.fitting import FittingColumn, FittingTable, whole

COLUMNS = (
    FittingColumn("run", "left"),
    FittingColumn("pipeline", "left", 6),
    FittingColumn("took"),
    FittingColumn("status", "left", 6, is_last=True),
    FittingColumn("code", "left", 8),
)


def printed(table: FittingTable, columns: int, colours: bool) -> str:
    file = io.StringIO()
    Console(file=file, width=columns, color_system="standard" if colours else None).print(table)
    return file.getvalue()


def rows(count: int) -> list[tuple[Text, ...]]:
    dice = random.Random(count)
    found = []
    for number in range(count):
        status = whole("done", "green")
        if dice.random() < 0.3:
            status.append(f", {number} dead", "red")
        code = Text("sha256:" + "ab" * dice.randrange(20), "dim", no_wrap=True, overflow="ellipsis")
        name = "日本" if dice.random() < 0.1 else "nightly"
        found.append((Text(f"0193-{number}"), whole(name), Text(f"{number} s", "dim"), status, code))
    return found


@pytest.mark.parametrize("columns", [100, 30])
@pytest.mark.parametrize("lines", [box.SIMPLE_HEAD, box.SQUARE, None])
@pytest.mark.parametrize("colours", [True, False])
def test_a_long_table_is_printed_as_a_short_one(
    monkeypatch: pytest.MonkeyPatch, columns: int, lines: box.Box | None, colours: bool
) -> None:
    table = FittingTable(COLUMNS, rows(150), ("took",), lines)
    fast = printed(table, columns, colours)

    monkeypatch.setattr(fitting, "_MANY_ROWS", 1_000)

    assert told(fast, colours) == told(printed(table, columns, colours), colours)


def told(text: str, colours: bool) -> list[str]:
    """Returns the lines without blanks at their ends; with colours without any at all."""
    if not colours:
        return [line.rstrip() for line in text.splitlines()]
    return [re.sub(r"\x1b\[[0-9;]+m\x1b\[0m", "", line.replace(" ", "")) for line in text.splitlines()]


def test_no_column_is_wider_than_its_cells_where_another_would_be_folded_for_it() -> None:
    cells = (Text("0193-1"), Text("x"), Text("1 s"), Text("done"), Text("sha256:95f04f066dd644f0"))
    table = FittingTable(COLUMNS, [cells], box=box.SIMPLE_HEAD)

    assert "sha256:95f04f066dd644f0" in printed(table, 64, False)
