"""Of a record that a step may hold, has lost or dropped as late, it is not said that it was filtered."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.coders import StrUtf8Coder
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms.userstate import BagStateSpec

import beam_obs as obs
from beam_obs import lineage
from beam_obs.lineage.future import Future
from beam_obs.records.origin import Partition
from tests.lineage.evidence import WrittenRun

FILE = Partition("in.txt", "1")
RECORD = FILE.origin(0)
STEPS = ("read", "key", "group", "write")


class Hold(beam.DoFn):
    """Gives the second of each two elements of a key, and keeps the first."""

    HELD = BagStateSpec("held", StrUtf8Coder())
    held_param = beam.DoFn.StateParam(HELD)

    def process(self, pair: tuple[str, str], held: Any = held_param) -> Iterable[str]:
        if list(held.read()):
            held.clear()
            yield pair[1]
        else:
            held.add(pair[1])


def held_run(folder: Path) -> None:
    (folder / "in.txt").write_text("".join(f"{number}\n" for number in range(3)))
    options = PipelineOptions([f"--obs_store={folder}/store", "--obs_report=off"])
    with obs.Pipeline("FnApiRunner", options, name="held") as p:
        lines = p | "read" >> obs.ReadFromText(f"{folder}/in.txt")
        lines | "copy" >> beam.io.WriteToText(f"{folder}/copy")
        held = lines | "key" >> beam.Map(lambda line: ("a", line)) | "hold" >> beam.ParDo(Hold())
        held | "write" >> beam.io.WriteToText(f"{folder}/out")


def test_where_a_record_went_behind_a_step_that_holds_it_is_not_known(tmp_path: Path) -> None:
    held_run(tmp_path)
    out, last = (
        lineage.fate(f"{tmp_path}/in.txt:{line}", store=obs.Store(f"{tmp_path}/store")) for line in (2, 3)
    )
    assert out.certainty.kind == "complete"
    assert last.certainty.text == (
        "not recorded: where it went behind hold, which keeps records in state, is not known"
    )
    assert last.into is not None
    assert [written.sink for written in last.into.written] == ["copy"]


def told_fate(tmp_path: Path, balance: dict[str, Any], **group: Any) -> tuple[str, str]:
    """Returns how a record ended of which nothing but its being read is known, and how sure that is."""
    steps = [
        {"label": label, "is_stage": False, "in": 8, "out": 8, "after": list(STEPS[:at][-1:])}
        for at, label in enumerate(STEPS)
    ]
    steps[2].update(out=1, **group)
    run = WrittenRun(tmp_path, partitions=[FILE], lineage={"sinks": [{"label": "write", "uri": "out"}]})
    run.aggregate("group", "a", [FILE.origin(one) for one in (1, 2)])
    run.end = {"steps": steps, "balance": {"holds": True, "checked": 9, "edges": 3} | balance}
    into = Future(run.finish()).of(RECORD, "read")
    return into.end, into.certainty.text


def test_the_only_way_to_end_is_to_come_too_late(tmp_path: Path) -> None:
    dropped = [{"step": "group", "count": 4, "windows": {"[0, 10)": 4}}]
    end, certainty = told_fate(tmp_path, {"dropped": dropped}, dropped=4)
    assert end == (
        "dropped as late, by elimination: all that leaves is recorded, and it did not leave; "
        "at group, which dropped 4 of window [0, 10)"
    )
    assert certainty == "complete"


@pytest.mark.parametrize(
    ("balance", "reason"),
    [
        ({"unchecked_steps": [{"step": "group", "reason": "state"}]}, "keeps records in state"),
        ({"holds": False, "broken": [{"where": "group", "text": "1 lost"}]}, "lost records"),
        ({"holds": None}, "keeps records in state"),
    ],
)
def test_what_does_not_come_out_of_a_step_is_not_filtered_by_elimination(
    tmp_path: Path, balance: dict[str, Any], reason: str
) -> None:
    end, certainty = told_fate(tmp_path, balance, keeps_state=True)
    assert end == "no trace of it"
    assert certainty == f"not recorded: where it went behind group, which {reason}, is not known"


def test_a_step_whose_batches_were_all_counted_holds_nothing(tmp_path: Path) -> None:
    end, certainty = told_fate(tmp_path, {}, keeps_state=True)
    assert end.startswith("filtered, by elimination")
    assert certainty == "complete"
