"""The extras that code and pages name are those that pyproject.toml has; none is there that nothing names."""

from __future__ import annotations

import pathlib
import re

PROJECT = pathlib.Path(__file__).parent.parent
_TABLE = re.compile(r"^\[project.optional-dependencies\]\n(.*?)^\[", re.MULTILINE | re.DOTALL)
_INSTALL = re.compile(r"(?:beam[_-]obs|'\.)\[([\w,]+)\]")


def declared() -> set[str]:
    table = _TABLE.search((PROJECT / "pyproject.toml").read_text())
    assert table is not None
    return set(re.findall(r"^(\w+) = \[", table[1], re.MULTILINE))


def test_extras_that_are_named_are_there() -> None:
    code = "".join(file.read_text() for file in (PROJECT / "beam_obs").rglob("*.py"))
    pages = "".join(page.read_text() for page in [PROJECT / "README.md", *(PROJECT / "docs").glob("*.md")])
    named = set(re.findall(r"MissingExtra\([^)]*\"(\w+)\"\)", code)) | set(
        re.findall(r"extra `+(\w+)`", code + pages)
    )
    for several in _INSTALL.findall(pages):
        named |= set(several.split(","))
    assert {"gcp", "avro", "parquet", "zstd"} <= named
    assert named <= declared()


def test_extras_that_are_there_are_named_in_the_readme() -> None:
    readme = (PROJECT / "README.md").read_text()
    assert [extra for extra in sorted(declared() - {"dev"}) if f"`{extra}`" not in readme] == []
