"""What a DoFn really calls: the user's own function, and in which of Beam's ways.

Beam wraps the function of a Map or Filter in a lambda that makes a list of its result. Calling the
function directly saves a call for each element, which pays for the counting. The lambdas are known
by their code; one that is not known (another version of Beam) is called as it is.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from types import CodeType
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.transforms.core import CallableWrapperDoFn

MAP = "Map"
MAP_TUPLE = "MapTuple"
FILTER = "Filter"
FLAT_MAP = "FlatMap"
DO_FN = "DoFn"


class UserCallable(NamedTuple):
    """How a DoFn's elements are handled.

    Args:
      kind: one of the names above; `FLAT_MAP` and `DO_FN` give several outputs.
      function: what to call with the element and the other arguments.
    """

    kind: str
    function: Callable[..., Any]


def _code_of(transform: beam.ParDo) -> CodeType:
    code: CodeType = transform.fn._fn.__code__
    return code


def _one(element: Any) -> Any:
    return element


def _two(element: Any, other: Any = None) -> Any:
    return element, other


_KINDS: dict[CodeType, str] = {}
for _transform, _kind in (
    (beam.Map(_one), MAP),
    (beam.Map(_two, 1), MAP),
    (beam.MapTuple(_one), MAP_TUPLE),
    (beam.MapTuple(_two), MAP_TUPLE),
    (beam.Filter(_one), FILTER),
):
    _KINDS[_code_of(_transform)] = _kind


def user_callable(dofn: beam.DoFn) -> UserCallable:
    """Returns what a DoFn calls for each element.

    >>> user_callable(beam.Map(str.upper).fn).kind
    'Map'
    """
    if not isinstance(dofn, CallableWrapperDoFn):
        return UserCallable(DO_FN, dofn.process)
    function = dofn._fn
    kind = _KINDS.get(getattr(function, "__code__", None))  # type: ignore[arg-type]
    if kind is not None:
        inner = inspect.getclosurevars(function).nonlocals.get("fn")
        if callable(inner):
            return UserCallable(kind, inner)
    return UserCallable(FLAT_MAP, dofn.process)


def gives_generator(called: UserCallable) -> bool:
    """Returns whether what is called gives its outputs by a generator for each element.

    >>> gives_generator(UserCallable(FLAT_MAP, lambda element: (yield)))
    True
    """
    return called.kind in (FLAT_MAP, DO_FN) and inspect.isgeneratorfunction(called.function)


def function_name(dofn: beam.DoFn) -> str:
    """Returns the full name of the user's function that a DoFn calls, of its class where it has no other.

    >>> function_name(beam.Map(round).fn)
    'builtins.round'
    """
    called = user_callable(dofn)
    function: Any = type(dofn) if called.kind == DO_FN else called.function
    if called.kind == FLAT_MAP:
        function = (
            inspect.getclosurevars(dofn._fn).nonlocals.get("fn", dofn._fn) if callable(dofn._fn) else dofn
        )
    function = getattr(function, "func", function)
    name = getattr(function, "__qualname__", type(function).__qualname__)
    module = getattr(function, "__module__", None) or type(function).__module__
    return f"{module}.{name}"


def giving_many(called: UserCallable) -> Callable[..., Any]:
    """Returns a function that gives any number of results, for a callable of any kind.

    >>> giving_many(UserCallable(FILTER, str.isdigit))("a")
    []
    """
    function = called.function
    if called.kind == MAP:
        return lambda element, *args, **kwargs: [function(element, *args, **kwargs)]
    if called.kind == MAP_TUPLE:
        return lambda element, *args, **kwargs: [function(*element, *args, **kwargs)]
    if called.kind == FILTER:
        return lambda element, *args, **kwargs: [element] if function(element, *args, **kwargs) else []
    return function


def refusal_of_arguments(
    function: Callable[..., Any], positions: int, keywords: Iterable[str] = ()
) -> str | None:
    """Returns why a function cannot be called with so many arguments; None where it can, or nobody knows.

    >>> refusal_of_arguments(lambda element, other: element, 1)
    "missing a required argument: 'other'"
    >>> refusal_of_arguments(str.upper, 1), refusal_of_arguments(print, 3)
    (None, None)
    """
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return None
    try:
        signature.bind(*range(positions), **dict.fromkeys(keywords))
    except TypeError as error:
        return str(error)
    return None
