"""What tests keep of Beam's answers is what Beam would answer anew."""

from __future__ import annotations

import inspect
import types
from typing import Any

import apache_beam as beam
from apache_beam.coders import VarIntCoder
from apache_beam.options.pipeline_options import (
    DebugOptions,
    PipelineOptions,
    StandardOptions,
)
from apache_beam.transforms import core, userstate
from apache_beam.typehints import decorators


def test_options_share_nothing_with_other_pipelines() -> None:
    first, second = (PipelineOptions(["--resource_hint=a=1"]).view_as(StandardOptions) for _ in range(2))
    first.resource_hints.append("b=2")
    first.view_as(DebugOptions).add_experiment("mine")

    assert second.resource_hints == ["a=1"]
    assert PipelineOptions([]).view_as(StandardOptions).resource_hints == []
    assert not PipelineOptions([]).view_as(DebugOptions).experiments


def test_a_function_that_changes_is_asked_again() -> None:
    def given(one: int, two: int = 2) -> None: ...

    assert core.get_function_args_defaults(given) == (["one", "two"], [2])
    core.get_function_args_defaults(given)[0].clear()
    assert core.get_function_args_defaults(given) == (["one", "two"], [2])
    given.__defaults__ = (3,)
    assert core.get_function_args_defaults(given) == (["one", "two"], [3])
    given.__annotations__["one"] = str
    assert decorators.get_signature(given) == inspect.signature(given)


def test_options_that_were_parsed_before_share_nothing() -> None:
    given = ["--experiments=one"]
    PipelineOptions(given).view_as(DebugOptions).experiments.append("two")

    assert PipelineOptions(given).view_as(DebugOptions).experiments == ["one"]
    assert PipelineOptions(["--experiments=two"]).view_as(DebugOptions).experiments == ["two"]


def test_views_of_options_are_of_their_own_and_see_each_other() -> None:
    one, other = PipelineOptions(["--streaming"]), PipelineOptions([])
    one.view_as(StandardOptions).runner = "mine"

    assert one.view_as(StandardOptions).streaming
    assert one.view_as(DebugOptions).view_as(StandardOptions).runner == "mine"
    assert not other.view_as(StandardOptions).streaming
    assert other.view_as(StandardOptions).runner is None


def test_all_options_have_those_that_a_program_has_added_and_those_that_nobody_knows() -> None:
    given = PipelineOptions(["--mine=1", "--runner=FnApiRunner"])
    told = given.get_all_options(drop_default=True, retain_unknown_options=True)
    assert told == {"mine": "1", "runner": "FnApiRunner"}

    class Mine(PipelineOptions):
        @classmethod
        def _add_argparse_args(cls, parser: Any) -> None:
            parser.add_argument("--mine", type=int)

    assert given.get_all_options(drop_default=True) == {"mine": 1, "runner": "FnApiRunner"}
    assert PipelineOptions([]).get_all_options(drop_default=True) == {}
    assert given.view_as(Mine).mine == 1


STATE = userstate.BagStateSpec("bag", VarIntCoder())
BAG = beam.DoFn.StateParam(STATE)


class Remembers(beam.DoFn):
    def process(self, pair: Any, bag: Any = BAG) -> None: ...


class TakesItsProcess(beam.DoFn):
    def __init__(self, process: Any) -> None:
        self.process = types.MethodType(process, self)


def test_state_is_told_of_each_dofn_that_is_not_like_others_of_its_class() -> None:
    def with_state(dofn: Any, pair: Any, bag: Any = BAG) -> None: ...

    def without(dofn: Any, one: Any) -> None: ...

    for _ in range(2):
        assert userstate.get_dofn_specs(Remembers()) == ({STATE}, set())
        userstate.get_dofn_specs(Remembers())[0].clear()
        told = [userstate.is_stateful_dofn(TakesItsProcess(one)) for one in (with_state, without)]
        assert told == [True, False]


class Asked:
    def method(self, one: Any) -> None: ...


def test_a_method_is_not_taken_for_its_function() -> None:
    assert list(decorators.get_signature(Asked.method).parameters) == ["self", "one"]
    assert list(decorators.get_signature(Asked().method).parameters) == ["one"]
