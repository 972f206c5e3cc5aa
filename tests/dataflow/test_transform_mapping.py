"""What an update of a running job can take over, of pairs of pipelines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import apache_beam as beam
from apache_beam.coders import StrUtf8Coder, VarIntCoder
from apache_beam.transforms.userstate import BagStateSpec
from apache_beam.transforms.window import FixedWindows

from beam_obs.dataflow.transform_mapping import plan_update
from beam_obs.weaving.settings import WeaveSettings
from beam_obs.weaving.weave import weave


class Remember(beam.DoFn):
    SEEN = BagStateSpec("seen", VarIntCoder())

    def process(self, pair: Any, seen: Any = beam.DoFn.StateParam(SEEN)) -> Iterator[Any]:  # noqa: B008
        seen.add(1)
        yield pair


class RememberTexts(beam.DoFn):
    SEEN = BagStateSpec("seen", StrUtf8Coder())

    def process(self, pair: Any, seen: Any = beam.DoFn.StateParam(SEEN)) -> Iterator[Any]:  # noqa: B008
        seen.add("1")
        yield pair


def proto(*steps: Any) -> Any:
    pipeline = beam.Pipeline("FnApiRunner")
    pcoll = pipeline | "make" >> beam.Create([("a", 1)])
    for step in steps:
        pcoll = pcoll | step
    return pipeline.to_runner_api()


def test_a_pipeline_takes_over_itself() -> None:
    one = proto(
        "group" >> beam.GroupByKey(), "list" >> beam.MapTuple(lambda key, values: (key, len(list(values))))
    )
    plan = plan_update(one, one)
    assert (plan.mapping, plan.incompatibilities) == ({}, ())


def test_a_composite_that_has_another_name_is_one_entry() -> None:
    plan = plan_update(proto("sum" >> beam.CombinePerKey(sum)), proto("total" >> beam.CombinePerKey(sum)))
    assert plan.mapping == {"sum": "total"}
    assert plan.incompatibilities == ()


def test_renamed_steps_one_behind_the_other_are_all_found() -> None:
    old = proto("a" >> beam.GroupByKey(), "b" >> beam.Values(), "c" >> beam.Map(list))
    new = proto("x" >> beam.GroupByKey(), "y" >> beam.Values(), "z" >> beam.Map(list))
    assert plan_update(old, new).mapping == {"a": "x", "b": "y", "c": "z"}


def test_of_two_alike_none_is_taken_for_another() -> None:
    def both(first: str, second: str) -> Any:
        pipeline = beam.Pipeline("FnApiRunner")
        pairs = pipeline | "make" >> beam.Create([("a", 1)])
        _ = pairs | first >> beam.GroupByKey()
        _ = pairs | second >> beam.GroupByKey()
        return pipeline.to_runner_api()

    plan = plan_update(both("a", "b"), both("x", "y"))
    assert plan.mapping == {}
    assert [one.step for one in plan.incompatibilities] == ["a", "b"]


def test_a_stateful_step_that_is_gone_is_named() -> None:
    plan = plan_update(proto("remember" >> beam.ParDo(Remember())), proto())
    (found,) = plan.incompatibilities
    assert found.step == "remember"
    assert "which keeps state, and the new one has not" in str(found)
    assert "drain the job" in str(found)


def test_other_state_under_the_same_name_is_named() -> None:
    old, new = proto("remember" >> beam.ParDo(Remember())), proto("remember" >> beam.ParDo(RememberTexts()))
    (found,) = plan_update(old, new).incompatibilities
    assert "its state 'seen' was a bag_spec of varint, and is bag_spec of string_utf8" in str(found)


def test_other_windows_at_a_shuffle_are_named() -> None:
    old = proto("windows" >> beam.WindowInto(FixedWindows(60)), "group" >> beam.GroupByKey())
    new = proto("windows" >> beam.WindowInto(FixedWindows(90)), "group" >> beam.GroupByKey())
    assert [str(one).partition(";")[0] for one in plan_update(old, new).incompatibilities] == [
        "group: its windows or triggers are others"
    ]


def test_lineage_that_comes_or_goes_is_said_once_with_its_steps_and_the_way_out() -> None:
    bare = proto("group" >> beam.GroupByKey())
    woven = weave(bare, WeaveSettings(strict=True)).proto

    (found,) = plan_update(bare, woven).incompatibilities
    assert str(found).startswith("lineage: the running job carries no lineage and the new one does")
    assert "how elements are encoded at group; give the new one --obs_lineage=off" in str(found)

    (found,) = plan_update(woven, bare).incompatibilities
    assert "the running job carries lineage and the new one does not" in found.reason
    # It may be a pipeline of Beam alone, which has no option to leave out.
    assert "let the new one carry lineage (an observed pipeline, without --obs_lineage=off)" in found.way_out
    assert plan_update(woven, woven).incompatibilities == ()


def test_steps_that_keep_evidence_are_not_named_beside_the_lineage_that_they_are_of() -> None:
    bare = proto("sum" >> beam.CombinePerKey(sum))
    woven = weave(bare, WeaveSettings(strict=True, evidence="evidence")).proto
    keepers = [name for name in _names_of_groups(woven) if name.startswith("beam_obs ")]
    assert keepers
    (found,) = plan_update(woven, bare).incompatibilities
    assert "the running job carries lineage and the new one does not" in found.reason
    assert "at sum;" in str(found)


def _names_of_groups(pipeline: Any) -> list[str]:
    steps = pipeline.components.transforms.values()
    return [step.unique_name for step in steps if step.spec.urn == "beam:transform:group_by_key:v1"]


class Anything:
    """A value of a class that no coder is known of."""


def test_lineage_beside_values_that_python_pickles_is_seen() -> None:
    """Their coder is of one kind, whatever it encodes."""
    values = beam.Map(lambda pair: (pair[0], Anything())).with_output_types(
        beam.typehints.Tuple[str, Anything]
    )
    bare = proto("values" >> values, "group" >> beam.GroupByKey())
    (found,) = plan_update(bare, weave(bare, WeaveSettings(strict=True)).proto).incompatibilities
    assert "how elements are encoded at group;" in str(found)
    assert plan_update(bare, bare).incompatibilities == ()
