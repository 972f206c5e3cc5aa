"""The function of a Map, Filter or MapTuple is called directly, on workers too."""

from __future__ import annotations

import functools
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.internal import pickler

from beam_obs.wrapper.user_callable import (
    DO_FN,
    FILTER,
    FLAT_MAP,
    MAP,
    MAP_TUPLE,
    gives_generator,
    user_callable,
)


def with_two(first: Any, second: Any = 2) -> Any:
    return first, second


def generating(element: Any) -> Any:
    yield element


class Callable:
    def __call__(self, element: Any) -> Any:
        return element


class Identity(beam.DoFn):
    def process(self, element: Any) -> Any:
        yield element


FUNCTIONS = [len, str.upper, with_two, lambda one: one, functools.partial(with_two, 1), Callable()]


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda one: getattr(one, "__name__", type(one).__name__))
@pytest.mark.parametrize(
    ("of", "kind"),
    [(beam.Map, MAP), (beam.Filter, FILTER), (beam.MapTuple, MAP_TUPLE), (beam.FlatMap, FLAT_MAP)],
)
def test_kinds_are_known_before_and_after_pickling(of: Any, kind: str, function: Any) -> None:
    dofn = of(function).fn
    unpickled = pickler.loads(pickler.dumps(dofn))
    assert user_callable(dofn).kind == kind
    assert user_callable(unpickled).kind == kind


@pytest.mark.parametrize("of", [beam.Map, beam.Filter, beam.MapTuple])
def test_the_users_own_function_is_called(of: Any) -> None:
    assert user_callable(of(with_two).fn).function is with_two
    assert user_callable(of(with_two, second=3).fn).function is with_two


def test_what_is_not_known_is_called_as_beam_calls_it() -> None:
    dofn = Identity()
    assert user_callable(dofn) == (DO_FN, dofn.process)
    assert user_callable(beam.FlatMap(list).fn).kind == FLAT_MAP
    assert list(user_callable(beam.FlatMap(list).fn).function("ab")) == ["a", "b"]


def test_a_lambda_of_the_users_that_looks_like_beams_is_not_taken_for_it() -> None:
    fn = len
    dofn = beam.ParDo(lambda x: [fn(x)]).fn
    called = user_callable(dofn)
    assert list(called.function("ab")) == ([2] if called.kind == FLAT_MAP else 2)


@pytest.mark.parametrize(
    ("transform", "gives"),
    [
        (beam.ParDo(Identity()), True),
        (beam.FlatMap(generating), True),
        (beam.FlatMap(str.split), False),
        (beam.Map(generating), False),
        (beam.Filter(generating), False),
    ],
)
def test_a_generator_function_gives_outputs_where_a_step_gives_many(transform: Any, gives: bool) -> None:
    assert gives_generator(user_callable(transform.fn)) is gives
