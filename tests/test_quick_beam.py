"""What tests keep of Beam's answers is what Beam would answer anew."""

from __future__ import annotations

import inspect
from typing import Any

from apache_beam.options.pipeline_options import DebugOptions, PipelineOptions, StandardOptions
from apache_beam.transforms import core
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


class Asked:
    def method(self, one: Any) -> None: ...


def test_a_method_is_not_taken_for_its_function() -> None:
    assert list(decorators.get_signature(Asked.method).parameters) == ["self", "one"]
    assert list(decorators.get_signature(Asked().method).parameters) == ["one"]
