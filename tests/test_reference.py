"""The reference lists every public name once, and nothing else."""

from __future__ import annotations

import pathlib
import re

import pytest

import beam_obs
import beam_obs.lineage
import beam_obs.testing

DOCS = pathlib.Path(__file__).parent.parent / "docs"
REFERENCE = (DOCS / "reference.md").read_text()


def test_every_name_of_the_package_is_in_the_reference_once() -> None:
    listed = re.findall(
        r"^\.\. (?:auto(?:class|function|exception)|py:data):: (\w+)$", REFERENCE, re.MULTILINE
    )
    constants = {
        name for name in beam_obs.lineage.__all__ if isinstance(getattr(beam_obs.lineage, name), str)
    }
    assert sorted(listed) == sorted({*beam_obs.__all__, *constants})


@pytest.mark.parametrize("module", ["beam_obs.lineage", "beam_obs.metrics", "beam_obs.testing"])
def test_modules_with_names_of_their_own_are_in_it_whole(module: str) -> None:
    assert re.search(rf"^\.\. automodule:: {re.escape(module)}\n   :members:", REFERENCE, re.MULTILINE)


def test_every_page_is_in_the_table_of_contents_once() -> None:
    tables = re.findall(r"```\{toctree\}\n(.*?)```", (DOCS / "index.md").read_text(), re.DOTALL)
    entries = [line for table in tables for line in table.splitlines() if line and not line.startswith(":")]
    assert sorted(entries) == sorted(page.stem for page in DOCS.glob("*.md") if page.stem != "index")
