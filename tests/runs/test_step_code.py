"""Digests of the user's code in each step: what changes them, and what does not."""

from __future__ import annotations

import os
import pathlib
import sys
import textwrap
import types
from typing import Any

import apache_beam as beam
import pytest

import beam_obs as obs
from beam_obs.runs.step_code import step_code
from tests import programs

PROGRAM = '''
import dataclasses, enum, functools, re
import apache_beam as beam
import helping

class Level(enum.Enum):
    LOW = 1

@dataclasses.dataclass(frozen=True)
class Limits:
    least: int = 3
    names: frozenset = frozenset({"a", "b", "c", "d"})

LIMITS = Limits()
TEXT = re.compile("x+")

def helper(x):
    return int(x) + 1

def parse(x, base=10):
    """Parses."""
    if x in {"p", "q", "r", "s"} or TEXT.match(x) or LIMITS.least > 5 or Level.LOW is x:
        return [helping.clean(y) for y in x]
    return helper(x)

class Clean(beam.DoFn):
    """Cleans."""

    def __init__(self, names):
        self.names = names

    def process(self, element):
        def inner(x):
            """Inner."""
            return x in self.names
        yield from filter(inner, [element])

class Sum(beam.CombineFn):
    def create_accumulator(self): return 0
    def add_input(self, total, x): return total + 1
    def merge_accumulators(self, totals): return sum(totals)
    def extract_output(self, total): return total

def build(p, offset=1):
    texts = p | "texts" >> beam.Create(["1", "2"])
    parsed = texts | "parse" >> beam.Map(parse)
    clean = parsed | "clean" >> beam.ParDo(Clean({"a", "b", "c"}))
    shifted = clean | "closure" >> beam.Map(lambda x: x + offset)
    _ = shifted | "partial" >> beam.Filter(functools.partial(parse, base=2))
    _ = clean | "sum" >> beam.CombineGlobally(Sum()) | "split" >> beam.Partition(lambda x, n: 0, 2)
'''
HELPING = "def clean(x):\n    return x.strip()\n"

EDITS = {
    "    return int(x) + 1": ("    return int(x) + 2", {"parse", "partial"}),
    "base=10": ("base=11", {"parse", "partial"}),
    "least: int = 3": ("least: int = 4", {"parse", "partial"}),
    '"x+"': ('"y+"', {"parse", "partial"}),
    "LOW = 1": ("LOW = 1; HIGH = 2", {"parse", "partial"}),
    'frozenset({"a"': ('frozenset({"z"', {"parse", "partial"}),
    "return x.strip()": ("return x.lstrip()", {"parse", "partial"}),
    'Clean({"a"': ('Clean({"z"', {"clean"}),
    "x in self.names": ("x not in self.names", {"clean"}),
    "offset=1": ("offset=2", {"closure"}),
    "base=2": ("base=3", {"partial"}),
    "return total + 1": ("return total + x", {"sum"}),
    "lambda x, n: 0": ("lambda x, n: 1", {"split"}),
    '["1", "2"]': ('["1", "3"]', {"texts"}),
}


@pytest.fixture
def program(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(tmp_path)

    def load(old: str = "", new: str = "") -> dict[str, Any]:
        texts = {"building.py": PROGRAM, "helping.py": HELPING}
        for name, text in texts.items():
            (tmp_path / name).write_text(text.replace(old, new) if old else text)
            sys.modules.pop(name.removesuffix(".py"), None)
        # Two texts of one second and one size would be one to Python's cache.
        code = compile((tmp_path / "helping.py").read_text(), str(tmp_path / "helping.py"), "exec")
        helping: Any = type(sys)("helping")
        helping.__file__ = str(tmp_path / "helping.py")
        monkeypatch.setitem(sys.modules, "helping", helping)
        exec(code, vars(helping))
        building: Any = type(sys)("building")
        building.__file__ = str(tmp_path / "building.py")
        monkeypatch.setitem(sys.modules, "building", building)
        exec(compile((tmp_path / "building.py").read_text(), building.__file__, "exec"), vars(building))
        pipeline = beam.Pipeline()
        building.build(pipeline)
        return by_step(step_code(pipeline)["steps"])

    return load


def by_step(steps: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for label, code in steps.items():
        found.setdefault(label.partition("/")[0], []).append(code)
    return found


@pytest.mark.parametrize("old", EDITS)
def test_an_edit_shows_at_the_steps_that_run_it(program: Any, old: str) -> None:
    new, steps = EDITS[old]
    before, after = program(), program(old, new)
    assert set(before) == set(after)
    assert {label for label in before if before[label] != after[label]} == steps


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("def helper(x):\n", "# helps\ndef helper(x):\n    # and how\n\n"),
        ('"""Parses."""', '"""Parses texts."""'),
        ('"""Cleans."""', '"""Cleans it."""'),
        ('"""Inner."""', '"""Within."""'),
        ("import helping\n", "import helping\n\n\nUNUSED = 3\n"),
    ],
)
def test_comments_and_what_is_not_used_change_nothing(program: Any, old: str, new: str) -> None:
    assert program() == program(old, new)


def test_what_code_does_is_told_from_what_it_was_given(program: Any) -> None:
    before, given, done = program(), program("offset=1", "offset=2"), program("x + offset", "x - offset")
    ((code, values),) = before["closure"]
    assert (given["closure"][0][0], given["closure"][0][1] != values) == (code, True)
    assert (done["closure"][0][0] != code, done["closure"][0][1]) == (True, values)


@pytest.mark.slow
def test_digests_are_the_same_in_every_process(tmp_path: pathlib.Path) -> None:
    (tmp_path / "helping.py").write_text(HELPING)
    program = PROGRAM + textwrap.dedent(
        """
        import json
        from beam_obs.runs.step_code import step_code
        p = beam.Pipeline()
        build(p)
        print(json.dumps(step_code(p)))
        """
    )
    environment = {
        **os.environ,
        "PYTHONHASHSEED": "1234",
        "PYTHONPATH": os.pathsep.join([str(tmp_path), str(programs.ROOT)]),
    }
    told = set()
    for run in (programs.run, programs.run_fresh):
        folder = tmp_path / run.__name__
        folder.mkdir()
        (folder / "job.py").write_text(program)
        done = run([str(folder / "job.py")], env=environment)
        assert done.returncode == 0, done.stderr
        told.add(done.stdout)
    assert len(told) == 1


def test_what_stands_within_stages_and_checks_is_looked_at() -> None:
    def steps(limit: int) -> dict[str, Any]:
        p = beam.Pipeline()
        numbers = p | "numbers" >> beam.Create([1])
        checked = numbers | "check" >> obs.Check(obs.holds("small", lambda one: one < limit))
        _ = checked | "stage" >> obs.Stage(beam.Map(lambda one: one + limit))
        return by_step(step_code(p)["steps"])

    assert {label for label, code in steps(1).items() if code != steps(2)[label]} == {"check", "stage"}
    assert steps(1) == steps(1)


def test_limits_of_a_check_are_what_its_step_was_given() -> None:
    def check(limit: int) -> Any:
        p = beam.Pipeline()
        _ = p | "numbers" >> beam.Create([1]) | "check" >> obs.Check(obs.between("n", 0, limit))
        return by_step(step_code(p)["steps"])["check"]

    ((code, values),) = check(1)
    ((same_code, other_values),) = check(2)
    assert (code == same_code, values == other_values) == (True, False)


def test_where_a_class_of_ours_is_defined_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def steps() -> dict[str, Any]:
        p = beam.Pipeline()
        numbers = p | "numbers" >> beam.Create([{"n": 1}])
        checked = numbers | "check" >> obs.Check(
            obs.between("n", 0, 9),
            obs.one_of("n", [1, 2]),
            obs.holds("odd", lambda one: one["n"] % 2),
            obs.unique("n"),
        )
        plus = checked | "plus" >> obs.Stage(beam.Map(lambda one: one["n"] + 1), redact=lambda one: 0)
        summed = plus | "sum" >> obs.Stage(beam.CombineGlobally(lambda found: sum(found)))
        _ = summed | "text" >> beam.Map(str) | "write" >> obs.WriteToText("out")
        return dict(step_code(p)["steps"])

    before = steps()
    moved = 0
    for name, module in list(sys.modules.items()):
        if name.startswith("beam_obs."):
            for one in list(vars(module).values()):
                if isinstance(one, (type, types.FunctionType)) and one.__module__ == name:
                    monkeypatch.setattr(one, "__module__", "beam_obs.new_room.new_file")
                    moved += 1
    assert moved > 100
    assert steps() == before


def test_what_goes_too_deep_costs_its_step_only() -> None:
    p = beam.Pipeline()
    deep: list[Any] = []
    for _ in range(100):
        deep = [deep]
    numbers = p | "numbers" >> beam.Create([1])
    _ = numbers | "deep" >> beam.Map(lambda one: deep)
    steps = step_code(p)["steps"]
    assert steps["deep"] == []
    assert len(steps["numbers"]) == 2
