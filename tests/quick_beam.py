"""Beam's dearest questions of a pipeline under construction, asked once in a process of tests.

A pipeline of five steps builds some 150 parsers of options, always the same dozen, parses the same options
as often, and asks some 2,000 times for the signatures of the same functions, mostly of DoFns without state:
more than half of what it takes to run it on three elements. Answers are kept where nothing can change them,
and given as copies. Programs that tests start, workers of real engines and Beam's own tests
(`make conformance`) ask Beam as it is; `pytest --plain-beam` does so here.
"""

from __future__ import annotations

import argparse
import bz2
import functools
import subprocess
import sys
import types
import weakref
from collections.abc import Callable
from typing import Any

_HELD = (list, dict, set)


def install() -> None:
    """Keeps answers from now on, in this process."""
    from apache_beam.internal import cloudpickle_pickler, pickler
    from apache_beam.options import pipeline_options
    from apache_beam.runners.portability import stager
    from apache_beam.transforms import core, userstate
    from apache_beam.typehints import decorators

    build, options = pipeline_options._BeamArgumentParser, pipeline_options.PipelineOptions
    pipeline_options._BeamArgumentParser = functools.partial(
        _parser, build, weakref.WeakKeyDictionary(), _ParserOfAll(build, options)
    )
    options._visible_option_list = _visible_option_list
    options.view_as = _views(options.view_as)

    _keep(decorators.get_signature, _answers(decorators.get_signature, lambda signature: signature))
    arguments = core.get_function_args_defaults
    _keep(arguments, _answers(arguments, lambda found: (list(found[0]), list(found[1]))))
    _keep(userstate.get_dofn_specs, _specs(userstate.get_dofn_specs))
    _keep(pickler.roundtrip, _without_nothing(pickler.roundtrip))
    yields = core._check_fn_use_yield_and_return
    _keep(yields, _by_code(yields))

    # Most of what is pickled is the same in each pipeline; compressing it takes longer than pickling it.
    kept = functools.lru_cache(maxsize=2000)
    once = types.SimpleNamespace(compress=kept(bz2.compress), decompress=kept(bz2.decompress))
    cloudpickle_pickler.bz2 = once
    # What is installed, by `pip freeze`: a second of CPU for each job that is submitted.
    stager.subprocess = types.SimpleNamespace(check_output=_once(subprocess.check_output))


def _once(asked: Callable[[list[str]], bytes]) -> Callable[[list[str]], bytes]:
    kept = functools.cache(lambda command: asked(list(command)))
    return lambda command: kept(tuple(command))


def _keep(asked: Callable[[Any], Any], kept: Callable[[Any], Any]) -> None:
    """Puts what keeps its answers in the place of a function of Beam's, wherever it was imported."""
    for module in list(sys.modules.values()):
        name = asked.__name__
        if module.__name__.startswith("apache_beam.") and vars(module).get(name) is asked:
            vars(module)[name] = kept


class _Built:
    """Stands for a parser that was built before: told its arguments again, it knows them."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self._parser = parser
        self._parsed: dict[tuple[str, ...], Any] = {}

    def add_argument(self, *names: Any, **settings: Any) -> None:
        pass

    def add_argument_group(self, *names: Any, **settings: Any) -> _Built:
        return self

    add_mutually_exclusive_group = add_argument_group

    def get_default(self, name: str) -> Any:
        return self._parser.get_default(name)

    def parse_known_args(self, flags: Any) -> Any:
        given = tuple(sys.argv[1:] if flags is None else flags)
        if given not in self._parsed:
            self._parsed[given] = self._parser.parse_known_args(flags)
        found, rest = self._parsed[given]
        # Each view has its own values that can be changed, as of a parser of its own.
        own = argparse.Namespace(**vars(found))
        for name, value in vars(found).items():
            if isinstance(value, _HELD):
                setattr(own, name, value.copy())
        return own, list(rest)


class _ParserOfAll:
    """The parser of all classes of options that there are, built anew when there are others."""

    def __init__(self, build: Callable[..., Any], options: Any) -> None:
        self._build = build
        self._options = options
        self._kinds: list[weakref.ref[Any]] = []
        self._built: Any = None

    def knows(self, flags: Any) -> Any:
        """Returns it, told its arguments already; None where flags have some that it does not know."""
        kinds = [weakref.ref(kind) for kind in self._options.__subclasses__()]
        if self._built is None or kinds != self._kinds:
            parser, named = self._build(allow_abbrev=False), set()
            for kind in self._options.__subclasses__():
                # As Beam does: a class that a test makes again counts once.
                if str(kind) not in named:
                    kind._add_argparse_args(parser)
                named.add(str(kind))
            self._built, self._kinds = _Built(parser), kinds
        return None if self._built.parse_known_args(flags)[1] else self._built


def _parser(build: Callable[..., Any], built: Any, of_all: _ParserOfAll, **settings: Any) -> Any:
    """Returns a parser for the class of options that asks for one, which then adds its arguments."""
    frame = sys._getframe(1)
    asks = frame.f_locals
    if frame.f_code.co_name == "get_all_options":
        has_more = asks["add_extra_args_fn"] or asks["current_only"]
        return (None if has_more else of_all.knows(asks["self"]._flags)) or build(**settings)
    kind = type(asks["self"])
    if frame.f_code.co_name != "__init__" or not _is_known(kind):
        return build(**settings)
    if kind in built:
        return built[kind]
    parser = build(**settings)
    built[kind] = _Built(parser)
    return parser


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


def _is_known(kind: type) -> bool:
    """Whether a class of options is one that no test has made."""
    named = [one for one in kind.__mro__ if "_add_argparse_args" in vars(one)]
    return all(one.__module__.startswith(("apache_beam.options.", "beam_obs.")) for one in named)


def _views(view_as: Callable[..., Any]) -> Callable[..., Any]:
    """Returns what gives the same view of options again: views have no values of their own."""
    kept: Any = weakref.WeakKeyDictionary()

    def view(options: Any, kind: type) -> Any:
        views = kept.setdefault(options, {})
        known = views.get(kind)
        if known is None or known._all_options is not options._all_options or known._flags != options._flags:
            known = view_as(options, kind)
            if _is_known(kind):
                views[kind] = known
        return known

    return view


def _visible_option_list(options: Any) -> list[str]:
    """As Beam's, which looks through what every object has too."""
    return sorted(name for name in vars(options._visible_options) if name[0] != "_")


def _without_nothing(roundtrip: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Returns what pickles and unpickles arguments as `roundtrip` does, where there are any."""

    def answer(given: Any) -> Any:
        return type(given)(given) if given in ((), {}) else roundtrip(given)

    # Whoever looks for the frame of a user's program takes this for Beam's own.
    as_beam = {**globals(), "__name__": roundtrip.__module__}
    return types.FunctionType(answer.__code__, as_beam, closure=answer.__closure__)


def _by_code(asked: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Returns what answers as `asked` does, once for all functions of the same lines."""
    kept: dict[Any, Any] = {}

    def answer(function: Any) -> Any:
        code = getattr(function, "__code__", None)
        if code is None:
            return asked(function)
        lines = code, code.co_filename
        if lines not in kept:
            kept[lines] = asked(function)
        return kept[lines]

    return answer


def _specs(asked: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Returns what tells state and timers of DoFns as `asked` does, once for DoFns that are alike."""
    from apache_beam.transforms import core

    kept: Any = weakref.WeakKeyDictionary()

    def is_like_others(dofn: Any) -> bool:
        kind = type(dofn)
        if kind.__dir__ is not object.__dir__ or hasattr(kind, "__getattr__"):
            return False
        if any(isinstance(value, types.MethodType) for value in vars(dofn).values()):
            return False
        if not hasattr(kind, "_inspect_process"):
            return True
        # What wraps a function has the arguments of that.
        _, defaults = core.get_function_arguments(dofn, "process")
        return not any(isinstance(default, core._DoFnParam) for default in defaults)

    def answer(dofn: Any) -> Any:
        if not is_like_others(dofn):
            return asked(dofn)
        kind = type(dofn)
        if kind not in kept:
            kept[kind] = asked(dofn)
        return tuple(map(set, kept[kind]))

    return answer
