"""A record with a place in one group of a large aggregate is said to be in no other; none is left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions

import beam_obs as obs
from beam_obs import lineage

RECORDS = 6000
GROUPS = 4


def parse(line: str) -> tuple[str, int]:
    number = int(line)
    if number % 100 == 7:
        raise ValueError(line)
    return str(number % GROUPS), number


def run(folder: Path, spread: Any) -> obs.Store:
    (folder / "in.txt").write_text("".join(f"{number}\n" for number in range(RECORDS)))
    options = PipelineOptions([f"--obs_store={folder}/store", "--obs_report=off"])
    with obs.Pipeline("FnApiRunner", options, name="groups") as p:
        _ = (
            p
            | "read" >> obs.ReadFromText(f"{folder}/in.txt")
            | "parse" >> obs.Stage(beam.Map(parse))
            | "spread" >> spread
            | "sum" >> beam.CombinePerKey(sum)
            | "write" >> obs.WriteToJson(f"{folder}/out")
        )
    return obs.Store(f"{folder}/store")


def named(answer: Any) -> set[str]:
    return {one.key for one in answer.into.aggregates if one.step == "sum"}


def possible(answer: Any) -> set[str]:
    return {one.key for one in answer.into.may_be_in}


@pytest.mark.slow
def test_a_record_in_a_named_place_is_in_no_other(tmp_path: Path) -> None:
    store = run(tmp_path, beam.Map(lambda pair: pair))
    complete = 0
    for number in range(0, RECORDS, 211):
        answer = lineage.fate(f"{tmp_path}/in.txt:{number + 1}", store=store)
        if number % 100 == 7:
            assert answer.into is not None
            assert (answer.into.aggregates, answer.into.may_be_in) == ((), ())
            assert [letter.stage for letter in answer.into.dead_letters] == ["parse"]
        elif named(answer):
            assert (named(answer), possible(answer)) == ({str(number % GROUPS)}, set())
            assert answer.certainty.kind == "complete"
            complete += 1
        else:
            assert str(number % GROUPS) in possible(answer)
            assert answer.certainty.kind == "sampled"
    assert complete > 5


@pytest.mark.parametrize(
    "spread",
    [
        beam.FlatMap(lambda pair: [pair, (str((int(pair[0]) + 1) % GROUPS), pair[1])]),
        beam.ParDo(
            type(
                "Twice",
                (beam.DoFn,),
                {"process": lambda self, pair: [pair, (str((int(pair[0]) + 1) % GROUPS), pair[1])]},
            )()
        ),
    ],
)
def test_a_record_that_may_be_in_several_places_is_said_to_be(tmp_path: Path, spread: Any) -> None:
    store = run(tmp_path, spread)
    for number in range(0, RECORDS, 509):
        if number % 100 == 7:
            continue
        answer = lineage.fate(f"{tmp_path}/in.txt:{number + 1}", store=store)
        wanted = {str(number % GROUPS), str((number + 1) % GROUPS)}
        assert wanted <= named(answer) | possible(answer)
