"""The pages of docs/ run: their Python blocks, in order, as one program in an empty folder.

An indented block right behind a Python block is what that block prints, where ``...`` stands for anything.
Blocks that need a project of Google Cloud are only compiled.
"""

from __future__ import annotations

import doctest
import pathlib
import re

import pytest

from tests.programs import run

PROJECT = pathlib.Path(__file__).parent.parent
BLOCK = re.compile(
    r"^```python\n(?P<code>.*?)^```\n(?P<output>(?:\n*(?:    [^\n]*\n)+)?)", re.MULTILINE | re.DOTALL
)
PAGES = sorted(page for page in (PROJECT / "docs").glob("*.md") if "```python" in page.read_text())
NEEDS_A_PROJECT = re.compile(r"\"(project:|projects/)")
BETWEEN = "-- end of block --"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
@pytest.mark.slow
def test_the_code_of_a_page_runs_and_prints_what_it_says(page: pathlib.Path) -> None:
    blocks = list(BLOCK.finditer(page.read_text()))
    for block in blocks:
        compile(block["code"], str(page), "exec")
    codes = ["" if NEEDS_A_PROJECT.search(block["code"]) else block["code"] for block in blocks]
    program = f"\nprint({BETWEEN!r}, flush=True)\n".join(codes)
    pathlib.Path("page.py").write_text(program)
    done = run(["page.py"], forks="sys.executable" in program)
    assert done.returncode == 0, done.stderr
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    for block, printed in zip(blocks, done.stdout.split(f"{BETWEEN}\n"), strict=True):
        expected = re.sub(r"^    ", "", block["output"].strip("\n"), flags=re.MULTILINE)
        if expected:
            assert doctest.OutputChecker().check_output(expected + "\n", printed, flags), printed
