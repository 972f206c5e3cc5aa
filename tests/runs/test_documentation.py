"""The code of docs/runs-and-store.md runs, and its tables name what there is."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Callable

from beam_obs.exporters.targets import TARGETS
from beam_obs.runs.options import RunSettings

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "runs-and-store.md"


def test_its_code_runs(run_program: Callable[..., tuple[int, str, str]]) -> None:
    source = "\n".join(re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL))
    code, output, errors = run_program(source)
    assert code == 0, errors
    assert output.endswith("done, 1 dead\n")
    assert "numbers  done, 1 dead" in errors


def test_it_lists_every_option() -> None:
    listed = re.findall(r"^\| `--obs_(\w+)[=`]", PAGE.read_text(), flags=re.MULTILINE)
    assert set(listed) == set(RunSettings._fields) - {"exporters"} | set(TARGETS)
