"""The process functions of woven steps: one for each form in, form out and way of calling. The hot path.

They are made from one text each, because a branch or a call per element costs more than all the rest;
`benchmarks/weave.py` gives what they cost. The value of a step's local variable `trace` is what
`traced_origin.current_origin` looks for.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from beam_obs.wrapper.traced_forms import KEYED, ORDINARY, TRACED
from beam_obs.wrapper.traced_note import noting
from beam_obs.wrapper.user_callable import DO_FN, FILTER, MAP, MAP_TUPLE, UserCallable

Process = Callable[..., Any]
GENERATOR = "generator"

_UNPACK = {
    TRACED: "trace, value = element",
    KEYED: "key, (trace, value) = element; value = (key, value)",
}
_PACK_ONE = {
    TRACED: "return [(trace, result)]",
    KEYED: "key, result = result; return [(key, (trace, result))]",
}
_PACK_EACH = {
    TRACED: "(trace, result)",
    KEYED: "(result[0], (trace, result[1]))",
}
_PASS = {
    (TRACED, TRACED): "return [element]",
    (KEYED, KEYED): "return [element]",
    (TRACED, KEYED): "key, value = value; return [(key, (trace, value))]",
    (KEYED, TRACED): "return [(trace, value)]",
}

_ONE = """
def process(element{more}):
    {unpack}
    try:
        result = function({call}{more})
    except Exception as error:
        note(error, trace)
        raise
    if type(result) in ordinary:
        {pack_one}
    return [pack(trace, result)]
"""

_FILTER = """
def process(element{more}):
    {unpack}
    try:
        if not function(value{more}):
            return ()
    except Exception as error:
        note(error, trace)
        raise
    {pass_on}
"""

_MANY = """
def process(element{more}):
    {unpack}
    try:
        results = function(value{more})
    except Exception as error:
        note(error, trace)
        raise
    kind = type(results)
    if kind is list or kind is tuple:
        if len(results) == 1:
            (result,) = results
            if type(result) in ordinary:
                {pack_one}
            return [pack(trace, result)]
        return [{pack_each} if type(result) in ordinary else pack(trace, result) for result in results]
    if results is None:
        return ()
    {refuse}
    return later(trace, results)

def later(trace, results):
    try:
        for result in results:
            yield {pack_each} if type(result) in ordinary else pack(trace, result)
    except Exception as error:
        note(error, trace)
        raise
"""

_GENERATE = """
def process(element{more}):
    {unpack}
    try:
        for result in function(value{more}):
            yield {pack_each} if type(result) in ordinary else pack(trace, result)
    except Exception as error:
        note(error, trace)
        raise
"""


class Step(NamedTuple):
    """What a process function needs to know of its step.

    Args:
      label: full label of the step.
      takes: form of its elements.
      gives: form of its main output.
      pack: puts a trace beside a result of any kind, inside of Beam's wrappers.
    """

    label: str
    takes: str
    gives: str
    pack: Callable[[bytes, Any], Any]


def one_to_one(called: UserCallable, step: Step, takes_arguments: bool) -> Process:
    """Returns a process function whose outputs have the trace of their element.

    Args:
      called: what the user's DoFn calls, with the element first.
      step: of the function.
      takes_arguments: whether there are more arguments than the element.
    """
    kind = GENERATOR if inspect.isgeneratorfunction(called.function) else called.kind
    make = _maker(kind, step.takes, step.gives, takes_arguments)
    return make(called.function, ORDINARY, step.pack, noting(step.label), refuse_text)


@functools.cache
def _maker(kind: str, takes: str, gives: str, takes_arguments: bool) -> Callable[..., Process]:
    if kind == GENERATOR:
        text = _GENERATE
    elif kind == FILTER:
        text = _FILTER
    elif kind in (MAP, MAP_TUPLE):
        text = _ONE
    else:
        text = _MANY
    body = text.format(
        more=", *args, **kwargs" if takes_arguments else "",
        unpack=_UNPACK[takes],
        call="*value" if kind == MAP_TUPLE else "value",
        pack_one=_PACK_ONE[gives],
        pack_each=_PACK_EACH[gives],
        pass_on=_PASS[takes, gives],
        refuse="refuse(results)" if kind == DO_FN else "pass",
    )
    indented = body.replace("\n", "\n    ")
    source = f"def make(function, ordinary, pack, note, refuse):{indented}\n    return process\n"
    namespace: dict[str, Any] = {}
    exec(compile(source, f"<woven {kind} {takes} {gives}>", "exec"), namespace)
    return namespace["make"]  # type: ignore[no-any-return]


def refuse_text(results: Iterable[Any]) -> None:
    """Raises what Beam raises where a DoFn returns text, which would be taken apart into its letters."""
    if isinstance(results, (str, bytes, dict)):
        raise TypeError(
            f"Returning a {type(results).__name__} from a ParDo or FlatMap is not allowed. "
            f"Please use list({results!r}) if you really want this behavior."
        )
