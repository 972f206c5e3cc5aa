"""What spans tell is in one table of the documentation, and nothing else is."""

from __future__ import annotations

import pathlib
import re

from beam_obs.traces import attributes

PROJECT = pathlib.Path(__file__).parents[2]
PAGE = PROJECT / "docs" / "traces.md"


def test_every_attribute_is_in_the_table_and_no_other() -> None:
    texts = [value for name, value in vars(attributes).items() if name.isupper()]
    told = {value for value in texts if re.fullmatch(r"\w+\.[\w.]+", value)}

    rows = [line.split("|")[1] for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`((?:beam|code|error|exception)\.[\w.]+)`", row)}
    assert named == told | {"beam.span_key"}


def test_each_row_beside_javas_names_tests_that_there_are() -> None:
    _, _, table = PAGE.read_text().partition("## Beside Java's")
    table, _, _ = table.partition("\n## ")
    rows = [line.split("|")[1:-1] for line in table.splitlines() if line.startswith("| ")][1:]
    tests = "".join(file.read_text() for file in (PROJECT / "tests" / "traces").glob("test_*.py"))

    assert len(rows) > 8
    for name, _, ours, held in rows:
        files, functions = re.findall(r"`(tests/[\w/]+\.py)`", held), re.findall(r"`(test_\w+)`", held)
        assert files or functions or ours.strip() == "not", name
        assert all((PROJECT / file).exists() for file in files), name
        assert all(f"def {function}(" in tests for function in functions), name
