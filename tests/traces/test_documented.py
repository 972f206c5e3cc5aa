"""What spans tell is in one table of the documentation, and nothing else is."""

from __future__ import annotations

import pathlib
import re

from beam_obs.traces import attributes

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "traces.md"


def test_every_attribute_is_in_the_table_and_no_other() -> None:
    told = {value for name, value in vars(attributes).items() if name.isupper() and "." in value}

    rows = [line.split("|")[1] for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`((?:beam|code|error|exception)\.[\w.]+)`", row)}
    assert named == told | {"beam.span_key"}
