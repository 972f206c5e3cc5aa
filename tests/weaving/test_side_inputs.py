"""Side inputs hold the user's values alone, where nobody asks for the origins of their elements."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.pvalue import AsDict, AsIter, AsList, TaggedOutput
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to

import beam_obs as obs
import beam_obs.lineage as lineage
from beam_obs.weaving.settings import WeaveSettings
from beam_obs.weaving.weave import weave

STEPS: dict[str, tuple[Any, list[Any]]] = {
    "map": (beam.Map(lambda number: (number, str(number))), [(0, "0"), (1, "1"), (2, "2")]),
    "filter": (beam.Filter(lambda number: number), [1, 2]),
    "list": (beam.FlatMap(lambda number: [number, -number]), [-2, -1, 0, 0, 1, 2]),
    "lone": (beam.FlatMap(lambda number: [number]), [0, 1, 2]),
    "generator": (beam.FlatMap(lambda number: (one for one in (number, -number))), [-2, -1, 0, 0, 1, 2]),
    "time": (beam.Map(lambda number: beam.window.TimestampedValue(number, 5)), [0, 1, 2]),
    "stage": (obs.Stage(beam.Map(lambda number: 10 // number)), [5, 10]),
    "stage of many": (obs.Stage(beam.FlatMap(lambda number: [10 // number] * 2)), [5, 5, 10, 10]),
}


def is_as_it_was(build: Any) -> bool:
    """Returns whether the side input of a woven pipeline's step "add" is what it was, with its coder."""
    pipeline = beam.Pipeline(runner="FnApiRunner")
    build(pipeline)
    plain = pipeline.to_runner_api()
    woven = weave(pipeline.to_runner_api(), WeaveSettings()).proto.components
    (step,) = [one for one in woven.transforms.values() if one.unique_name == "add" and one.spec.payload]
    (tag,) = [tag for tag in step.inputs if "side" in tag]
    pcoll = step.inputs[tag]
    was = plain.components.pcollections
    return pcoll in was and woven.pcollections[pcoll].coder_id == was[pcoll].coder_id


def add(number: int, others: Any) -> int:
    return number + sum(others)


def numbers_beside(p: Any) -> Any:
    beside = p | "numbers" >> beam.Create([1, 2]) | "same" >> beam.Map(abs)
    _ = p | "records" >> beam.Create([3]) | "add" >> beam.Map(add, AsIter(beside))
    return beside


def test_what_is_only_viewed_leaves_its_step_without_origins() -> None:
    assert is_as_it_was(numbers_beside)


def test_what_others_take_too_keeps_its_origins() -> None:
    def build(p: Any) -> None:
        numbers_beside(p) | "more" >> beam.Map(abs)

    assert not is_as_it_was(build)


@pytest.mark.parametrize("name", STEPS)
def test_a_view_shows_the_values_of_what_any_step_gives(name: str, tmp_path: Path) -> None:
    step, expected = STEPS[name]
    options = PipelineOptions(["--obs_lineage=strict"])
    with obs.Pipeline(runner=FnApiRunner(), store=str(tmp_path), options=options) as p:
        values = AsList(p | "numbers" >> beam.Create([0, 1, 2]) | "step" >> step)
        seen = p | "start" >> beam.Create([1]) | "look" >> beam.Map(lambda _, values: sorted(values), values)
        assert_that(seen, equal_to([expected]))


def test_a_tagged_output_that_is_only_viewed_is_plain_and_the_main_output_keeps_its_origin(
    tmp_path: Path,
) -> None:
    def split(line: str) -> Any:
        yield line
        yield TaggedOutput("known", (line, len(line)))

    source, store, output = tmp_path / "in.txt", tmp_path / "store", tmp_path / "out"
    source.write_text("one\nthree\n")
    with obs.Pipeline(runner=FnApiRunner(), store=str(store), name="split") as p:
        both = (
            p
            | beam.io.ReadFromText(str(source))
            | "split" >> beam.FlatMap(split).with_outputs("known", main="lines")
        )
        sized = both.lines | "add" >> beam.Map(
            lambda line, known: f"{line} {known[line]}", AsDict(both.known)
        )
        assert_that(sized, equal_to(["one 3", "three 5"]))
        sized | beam.io.WriteToText(str(output), shard_name_template="")
    (made_of,) = lineage.why(f"{output}:1", store=str(store)).made_of
    assert made_of.record.text == output.read_text().split()[0]
