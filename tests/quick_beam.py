"""Beam's two dearest questions of a pipeline under construction, asked once in a process of tests.

A pipeline of five steps builds some 150 parsers of options, always the same dozen, and asks some 2,000 times
for the signature of the same functions: half of what it takes to run it on three elements. Answers are kept
where nothing can change them, and given as copies. Programs that tests start, workers of real engines and
Beam's own tests (`make conformance`) ask Beam as it is; `pytest --plain-beam` does so here.
"""

from __future__ import annotations

import argparse
import functools
import sys
import types
import weakref
from collections.abc import Callable
from typing import Any

_HELD = (list, dict, set)


def install() -> None:
    """Keeps answers from now on, in this process."""
    from apache_beam.options import pipeline_options
    from apache_beam.transforms import core
    from apache_beam.typehints import decorators

    build = pipeline_options._BeamArgumentParser
    pipeline_options._BeamArgumentParser = functools.partial(_parser, build, weakref.WeakKeyDictionary())

    _keep(decorators.get_signature, lambda signature: signature)
    _keep(core.get_function_args_defaults, lambda found: (list(found[0]), list(found[1])))


def _keep(asked: Callable[[Any], Any], copy: Callable[[Any], Any]) -> None:
    """Puts what keeps its answers in the place of a function of Beam's, wherever it was imported."""
    kept = _answers(asked, copy)
    for module in list(sys.modules.values()):
        name = asked.__name__
        if module.__name__.startswith("apache_beam.") and vars(module).get(name) is asked:
            vars(module)[name] = kept


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


def _answers(asked: Callable[[Any], Any], copy: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Returns what answers as `asked` does, once for each function as long as its code is the same."""
    kept: Any = weakref.WeakKeyDictionary()

    def answer(function: Any) -> Any:
        bound = type(function) is types.MethodType
        plain = function.__func__ if bound else function
        if type(plain) is not types.FunctionType or {"__wrapped__", "__signature__"} & vars(plain).keys():
            return asked(function)
        state = (plain.__code__, plain.__defaults__, plain.__kwdefaults__, plain.__annotations__)
        of_it = kept.setdefault(plain, {})
        if bound not in of_it or of_it[bound][0] != state:
            # Annotations are a dict that may be written to.
            of_it[bound] = ((*state[:3], dict(state[3])), asked(function))
        return copy(of_it[bound][1])

    return answer
