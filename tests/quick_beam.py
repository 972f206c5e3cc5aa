"""Beam's two dearest questions of a pipeline under construction, asked once in a process of tests.

A pipeline of five steps builds some 150 parsers of options, always the same dozen, and asks some 2,000 times
for the signature of the same functions: half of what it takes to run it on three elements. Answers are kept
where nothing can change them, and given as copies. Programs that tests start, workers of real engines and
Beam's own tests (`make conformance`) ask Beam as it is; `pytest --plain-beam` does so here.
"""

from __future__ import annotations

import argparse
import functools
import inspect
import sys
import types
import weakref
from collections.abc import Callable
from typing import Any

_HELD = (list, dict, set)


def install() -> None:
    """Keeps answers from now on, in this process."""
    from apache_beam.options import pipeline_options
    from apache_beam.typehints import decorators

    options = pipeline_options.PipelineOptions
    build = pipeline_options._BeamArgumentParser
    pipeline_options._BeamArgumentParser = functools.partial(_parser, build, weakref.WeakKeyDictionary())
    assert options.__init__.__globals__["_BeamArgumentParser"] is not build

    asked = decorators.get_signature
    kept = _signatures(asked)
    for module in list(sys.modules.values()):
        if module.__name__.startswith("apache_beam.") and vars(module).get("get_signature") is asked:
            vars(module)["get_signature"] = kept


class _Built:
    """Stands for a parser that was built before: told its arguments again, it knows them."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self._parser = parser

    def add_argument(self, *names: Any, **settings: Any) -> None:
        pass

    def add_argument_group(self, *names: Any, **settings: Any) -> _Built:
        return self

    add_mutually_exclusive_group = add_argument_group

    def parse_known_args(self, flags: Any) -> Any:
        found, rest = self._parser.parse_known_args(flags)
        for name, value in vars(found).items():
            if isinstance(value, _HELD):
                # Each view has its own, as of a parser of its own.
                setattr(found, name, value.copy())
        return found, rest


def _parser(build: Callable[..., Any], built: Any, **settings: Any) -> Any:
    """Returns a parser for the class of options that asks for one, which then adds its arguments."""
    frame = sys._getframe(1)
    kind = type(frame.f_locals["self"])
    named = [one for one in kind.__mro__ if "_add_argparse_args" in vars(one)]
    if frame.f_code.co_name != "__init__" or not all(
        one.__module__.startswith(("apache_beam.options.", "beam_obs.")) for one in named
    ):
        return build(**settings)
    if kind in built:
        return _Built(built[kind])
    built[kind] = build(**settings)
    return built[kind]


def _signatures(asked: Callable[[Any], inspect.Signature]) -> Callable[[Any], inspect.Signature]:
    """Returns what answers as `asked` does, once for each function as long as its code is the same."""
    kept: Any = weakref.WeakKeyDictionary()

    def answer(function: Any) -> inspect.Signature:
        bound = type(function) is types.MethodType
        plain = function.__func__ if bound else function
        if type(plain) is not types.FunctionType or {"__wrapped__", "__signature__"} & vars(plain).keys():
            return asked(function)
        state = (bound, plain.__code__, plain.__defaults__, plain.__kwdefaults__, plain.__annotations__)
        of_it = kept.setdefault(plain, [None, None])
        if of_it[bound] is None or of_it[bound][0] != state:
            # Annotations are a dict that may be written to.
            of_it[bound] = ((*state[:4], dict(state[4])), asked(function))
        return of_it[bound][1]

    return answer
