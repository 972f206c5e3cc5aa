"""Stores that were damaged at random, or with ill intent: every command ends well, and none believes them.

`BEAM_OBS_DAMAGE=1000` tries as many damages of one to three files; 60 of them by default.
"""

from __future__ import annotations

import json
import os
import pathlib
import re
import shutil
import tempfile
import traceback
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import beam_obs as obs
from beam_obs.cli.main import beam_obs as command_line
from beam_obs.records.errors import BeamObsError
from beam_obs.store.store import Store
from tests.chance import TRIES

EXAMPLES = TRIES or 60
OTHER = "0193aaaa-0001-7000-8000-000000000001"
"""Id of an older run, of another pipeline: what is damaged is never its."""


class Kept:
    """A store of one small run of every kind of evidence, made once.

    Args:
      folder: a new one.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        rows = "".join(f"{i % 3},{'x' if i % 9 == 0 else i}\n" for i in range(40))
        (folder / "in.csv").write_text(f"a,b\n{rows}")
        argv = [
            f"--obs_store={folder / 'store'}",
            "--obs_report=off",
            "--obs_lineage_filtered=all",
            "--obs_sample_rate=1",
        ]
        with obs.Pipeline("FnApiRunner", argv=argv, name="sums") as p:
            made = p | "make" >> beam.Create([("9", 7)])
            read = (
                p
                | "read" >> obs.ReadFromCsv(str(folder / "in.csv"))
                | "parse" >> obs.Stage(beam.Map(lambda row: (row["a"], int(row["b"]))))
                | "keep" >> obs.Stage(beam.Filter(lambda pair: pair[1] != 3))
            )
            (
                (read, made)
                | beam.Flatten()
                | "check" >> obs.Check(obs.holds("small", lambda pair: pair[1] < 30), on_break="count")
                | "sum" >> beam.CombinePerKey(sum)
                | "name" >> beam.MapTuple(lambda key, total: {"k": key, "s": total})
                | "write" >> obs.WriteToJson(str(folder / "out"))
            )
        (run,) = (folder / "store" / "runs" / "sums").iterdir()
        older = folder / "store" / "runs" / "other" / OTHER
        older.mkdir(parents=True)
        start = {"started": "2026-01-02T03:04:05.000000Z", "runner": "FnApiRunner"}
        (older / "start.json").write_text(json.dumps(start))
        end = {"status": "done", "finished": "2026-01-02T03:04:06.000000Z", "steps": [], "stages": []}
        (older / "end.json").write_text(json.dumps(end))
        self.folder = folder
        self.run = run.name
        self.files = sorted(file.name for file in run.iterdir())
        letter = next(iter(self._letters()))
        self.commands = [
            ["runs"],
            ["runs", "--json"],
            ["show", "latest"],
            ["show", self.run, "--json"],
            ["show", OTHER],
            ["diff", OTHER, self.run],
            ["diff", self.run, OTHER, "--json"],
            ["graph", self.run, "--output", "-"],
            ["dead-letters", "list", self.run],
            ["dead-letters", "list", self.run, "--letters", "--limit", "0"],
            ["dead-letters", "list", "--pipeline", "sums"],
            ["dead-letters", "show", letter],
            ["why", str(folder / "out-00000-of-00001:1"), "--json"],
            ["why", str(folder / "out-00000-of-00001:2")],
            ["fate", str(folder / "in.csv:2"), "--json"],
            ["fate", str(folder / "in.csv:3"), "--json"],
            ["fate", str(folder / "in.csv:5")],
            ["fate", str(folder / "in.csv:5"), "--json"],
            ["sources", self.run, "--json"],
            ["affected", "--source", str(folder / "in.csv"), "--json"],
            ["prune", "--older-than", "1d", "--dry-run", "--keep-newest", "0"],
        ]
        self.whole = {tuple(command): self.ask(folder / "store", command) for command in self.commands}

    def _letters(self) -> Iterator[str]:
        store = Store(str(self.folder / "store"))
        from beam_obs.store.evidence import dead_letters

        for letter, _ in dead_letters(store, store.find(self.run)):
            yield letter.id

    def ask(self, store: pathlib.Path, command: list[str]) -> tuple[int, str]:
        """Returns exit code and output of a command; an unexpected exception fails."""
        result = CliRunner().invoke(command_line, [*command, "--store", str(store)])
        error = result.exception
        if error is not None and not isinstance(error, (SystemExit, BeamObsError, OSError)):
            told = "".join(traceback.format_exception(error))
            pytest.fail(f"{command}: {told[-3000:]}")
        return result.exit_code, result.output


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    return Kept(tmp_path_factory.mktemp("kept"))


# Damages.

ODD: list[Any] = [
    None,
    "",
    "\x1b]0;owned\x07\x1b[31m[/nope][bold]\u202e\x7f",
    "../../../etc/passwd",
    -1,
    0,
    2**63 - 1,
    2**70,
    1e300,
    -1.5,
    True,
    [],
    {},
    [None, "a", {"label": None}],
    {"label": {"label": []}},
    "2026-99-99",
]


def change_value(value: Any, dice: Any) -> Any:
    """Returns a JSON value with one part of it replaced, left out or doubled."""
    if isinstance(value, (dict, list)) and value and not dice.draw(st.booleans(), label="here"):
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        key = dice.draw(st.sampled_from(keys), label="key")
        changed = value.copy()
        if dice.draw(st.integers(0, 9), label="leave out") == 0:
            del changed[key]
        else:
            changed[key] = change_value(value[key], dice)
        return changed
    return dice.draw(st.sampled_from(ODD), label="odd")


def damage_content(content: bytes, name: str, dice: Any) -> bytes:
    """Returns other bytes in place of a file's."""
    kinds = ["cut", "flip", "empty", "noise", "deep", "huge", "infinite", "other end", "zeros"]
    if name.endswith(".json"):
        kinds += 6 * ["value"]
    kind = dice.draw(st.sampled_from(kinds), label="kind")
    at = dice.draw(st.integers(0, max(0, len(content) - 1)), label="at")
    if kind == "value":
        return json.dumps(change_value(json.loads(content), dice), indent=1).encode()
    if kind == "flip" and content:
        bit = 1 << dice.draw(st.integers(0, 7), label="bit")
        return content[:at] + bytes([content[at] ^ bit]) + content[at + 1 :]
    return {
        "cut": content[:at],
        "flip": b"",
        "empty": b"",
        "noise": dice.draw(st.binary(max_size=60), label="noise"),
        "deep": b'{"a":' * 100_000,
        "huge": b'{"manifests": ' + b"9" * 100_000 + b"}",
        "infinite": b'{"partitions": 1e999, "status": NaN}',
        "other end": content + b"more",
        "zeros": content[:at] + bytes(len(content) - at),
    }[kind]


def damage_file(file: pathlib.Path, dice: Any) -> None:
    """Damages a file, or puts something else in its place."""
    how = dice.draw(
        st.sampled_from(["content"] * 8 + ["gone", "folder", "link", "loop", "pipe"]), label="how"
    )
    if how == "content":
        file.write_bytes(damage_content(file.read_bytes(), file.name, dice))
        return
    elsewhere = file.parents[3].parent / f"outside-{file.name}"
    shutil.move(file, elsewhere)
    if how == "folder":
        file.mkdir()
    elif how == "link":
        file.symlink_to(elsewhere)
    elif how == "loop":
        file.symlink_to(file)
    elif how == "pipe":
        os.mkfifo(file)


def is_sure(output: str) -> bool:
    """Whether an answer says that it is complete."""
    return '"kind": "complete"' in output.split('"reason"')[0] or bool(re.search(r"answer +complete", output))


FOREIGN = [
    "notes.txt",
    "runs/x",
    "runs/sums/notes.txt",
    "runs/a\x1b[2Jb/0193aaaa-0001/start.json",
    "runs/y/z/end.json",
]


@pytest.mark.slow
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(dice=st.data())
def test_no_damage_breaks_a_command_or_is_taken_for_complete(kept: Kept, dice: Any) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        store = pathlib.Path(scratch) / "store"
        shutil.copytree(kept.folder / "store", store)
        names = dice.draw(
            st.lists(st.sampled_from(kept.files), min_size=1, max_size=3, unique=True), label="files"
        )
        for name in names:
            damage_file(store / "runs" / "sums" / kept.run / name, dice)
        if dice.draw(st.booleans(), label="foreign"):
            foreign = store / dice.draw(st.sampled_from(FOREIGN), label="object")
            if not foreign.exists():
                foreign.parent.mkdir(parents=True, exist_ok=True)
                foreign.write_bytes(b"\x1b[31m{")
        for command in kept.commands:
            code, output = kept.ask(store, command)
            _, told = kept.whole[tuple(command)]
            assert code in (0, 1), (command, output)
            assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", output), (command, output)
            if is_sure(output):
                assert is_sure(told), (command, output)
                assert _without_store(output) == _without_store(told), command
        assert (store / "runs" / "other" / OTHER / "end.json").exists()


def _without_store(output: str) -> str:
    return re.sub(r"(/[^\s'\"]*)?/store\b", "STORE", output)


def test_commands_about_other_runs_never_mind(kept: Kept, tmp_path: pathlib.Path) -> None:
    shutil.copytree(kept.folder / "store", tmp_path / "store")
    for file in (tmp_path / "store" / "runs" / "sums" / kept.run).iterdir():
        file.write_bytes(b'{"a":' * 100_000)
    assert kept.ask(tmp_path / "store", ["show", OTHER]) == kept.whole["show", OTHER] or (
        kept.ask(tmp_path / "store", ["show", OTHER])[0] == 0
    )
    assert kept.ask(tmp_path / "store", ["runs"])[0] == 0
