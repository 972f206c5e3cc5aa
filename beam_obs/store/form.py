"""Values of a store held against the form that is read: what does not fit is left out, and said.

A store may be damaged, or written by someone else: whoever reads it finds the types that it expects, numbers
that can be computed with, and nothing nested so deep that walking it fails.

A form is `str`, `int`, `float`, `bool`, `object` (anything plain), a list of one form, a class below, or a
dict of fields by name. Of these a plain `str`, `int` or `Text` names the thing: nothing fits without it.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

_MOST_DEEP = 48
_LARGEST = 1 << 63
_TOLD = 5


class Maybe(NamedTuple):
    """A value of a form, or None."""

    form: Any


class Needed(NamedTuple):
    """A field that readers take for granted: where there is none that fits, it has this value."""

    form: Any
    otherwise: Any


class Each(NamedTuple):
    """An object of any names, whose values have a form."""

    form: Any


class Time(NamedTuple):
    """A time of the store, as text."""


class Text(NamedTuple):
    """Text that a regular expression matches as a whole."""

    pattern: str


def parse_object(content: bytes) -> dict[str, Any]:
    """Returns the object that a JSON file holds.

    Half of a surrogate pair, which no encoding has, stands written out: ``\\ud800``. A byte of a file's name
    that is no text, as Python has it, stays.

    Raises:
      ValueError: it is no JSON object, or one that cannot be walked or computed with.
    """
    try:
        value = json.loads(content.decode("utf-8-sig"))
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    if not isinstance(value, dict):
        raise ValueError("it is no object")
    _check_plain(value, 0)
    is_plain = b"\\ud" not in content and b"\\uD" not in content
    return value if is_plain else {_whole(name): _whole(one) for name, one in value.items()}


_HALF = re.compile("[\ud800-\udc7f\udd00-\udfff]")


def _whole(value: Any) -> Any:
    if isinstance(value, str):
        return _HALF.sub(lambda half: f"\\u{ord(half[0]):x}", value)
    if isinstance(value, dict):
        return {_whole(name): _whole(one) for name, one in value.items()}
    return [_whole(one) for one in value] if isinstance(value, list) else value


def fit(value: Any, form: Any, where: str, problems: list[str]) -> Any:
    """Returns a value as far as it has a form; fields that the form does not name stay as they are.

    Args:
      value: plain, as `parse_object` gives it.
      form: see above.
      where: name of the value, for people.
      problems: where what does not fit is noted.

    Raises:
      ValueError: nothing of it fits.

    >>> problems = []
    >>> fit({"label": "a", "in": "7"}, {"label": str, "in": Needed(int, 0)}, "step", problems)
    {'label': 'a', 'in': 0}
    >>> problems
    ["step.in is '7'"]
    """
    if _has_form(form)(value):  # as most values have, and a store may have a million of them
        return value
    if isinstance(form, dict):
        if not isinstance(value, dict):
            raise ValueError(_told(where, value))
        return _fields(value, form, where, problems)
    if isinstance(form, list):
        if not isinstance(value, list):
            raise ValueError(_told(where, value))
        fitted = [_fit_or_none(one, form[0], f"{where}[{at}]", problems) for at, one in enumerate(value)]
        return [one for one in fitted if one is not None]
    if isinstance(form, Maybe):
        return None if value is None else fit(value, form.form, where, problems)
    if isinstance(form, Needed):
        return fit(value, form.form, where, problems)
    if isinstance(form, Each):
        if not isinstance(value, dict):
            raise ValueError(_told(where, value))
        fitted_by_name = {
            name: _fit_or_none(one, form.form, f"{where}.{name}", problems) for name, one in value.items()
        }
        return {name: one for name, one in fitted_by_name.items() if one is not None}
    if not _is_of(value, form):
        raise ValueError(_told(where, value))
    return value


def _fields(value: dict[str, Any], form: dict[str, Any], where: str, problems: list[str]) -> dict[str, Any]:
    fitted = dict(value)
    for name, of_field in form.items():
        if name in value:
            try:
                fitted[name] = fit(value[name], of_field, f"{where}.{name}" if where else name, problems)
                continue
            except ValueError as error:
                _note(problems, str(error))
                del fitted[name]
        if isinstance(of_field, Needed):
            fitted[name] = of_field.otherwise
        elif _is_needed(of_field):
            raise ValueError(f"{where} has no {name}")
    return fitted


def _fit_or_none(value: Any, form: Any, where: str, problems: list[str]) -> Any:
    try:
        return fit(value, form, where, problems)
    except ValueError as error:
        _note(problems, str(error))
        return None


def _is_of(value: Any, form: Any) -> bool:
    if form is object:
        return True
    if isinstance(form, Time):
        return isinstance(value, str) and _is_time(value)
    if isinstance(form, Text):
        return isinstance(value, str) and re.fullmatch(form.pattern, value) is not None
    if isinstance(value, bool):
        return form is bool
    return isinstance(value, (int, float) if form is float else form)


def _is_time(text: str) -> bool:
    try:
        moment = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
        return moment.tzinfo is not None and bool(moment.astimezone(datetime.timezone.utc))
    except (ValueError, OverflowError):  # before the first year of UTC, or behind its last
        return False


_Test: TypeAlias = Callable[[Any], bool]


class _Nothing:
    """Type of what stands for a field that is not there."""


_NOTHING = _Nothing()
_TESTS: dict[int, tuple[Any, _Test]] = {}
"""Identity of a form, which is kept so that it stays one -> the form, and the test of it."""


def _has_form(form: Any) -> _Test:
    """Returns the test of whether a value is as `fit` would give it; each form's is made once."""
    made = _TESTS.get(id(form))
    if made is None:
        made = _TESTS[id(form)] = form, _test_of(form)
    return made[1]


def _test_of(form: Any) -> _Test:
    if isinstance(form, Needed):
        return _test_of(form.form)
    kinds = _kinds(form)
    if kinds is not None:
        return lambda value: type(value) in kinds
    if isinstance(form, Maybe):
        test = _test_of(form.form)
        return lambda value: value is None or test(value)
    if isinstance(form, list):
        test = _test_of(form[0])
        return lambda value: type(value) is list and all(one is not None and test(one) for one in value)
    if isinstance(form, Each):
        test = _test_of(form.form)
        return lambda value: (
            type(value) is dict and all(one is not None and test(one) for one in value.values())
        )
    if isinstance(form, dict):
        return _test_of_fields(form)
    return lambda value: _is_of(value, form)


def _test_of_fields(form: dict[str, Any]) -> _Test:
    simple: list[tuple[str, frozenset[type]]] = []
    others: list[tuple[str, bool, _Test]] = []
    for name, of_field in form.items():
        kinds = _kinds(of_field.form if isinstance(of_field, Needed) else of_field)
        may_be_missing = not _is_needed(of_field) and not isinstance(of_field, Needed)
        if kinds is not None:
            simple.append((name, kinds | {_Nothing} if may_be_missing else kinds))
        else:
            others.append((name, may_be_missing, _test_of(of_field)))

    def has_fields(value: Any) -> bool:
        if type(value) is not dict:
            return False
        of = value.get
        for name, kinds in simple:
            if type(of(name, _NOTHING)) not in kinds:
                return False
        for name, may_be_missing, test in others:
            found = of(name, _NOTHING)
            if not (may_be_missing if found is _NOTHING else test(found)):
                return False
        return True

    return has_fields


def _kinds(form: Any) -> frozenset[type] | None:
    """Returns the types that the values of a form have; None where more than a type makes them so."""
    if isinstance(form, Maybe):
        inner = _kinds(form.form)
        return None if inner is None else inner | {type(None)}
    if form is float:
        return frozenset((int, float))
    return frozenset((form,)) if form in (str, int, bool) else None


def _is_needed(form: Any) -> bool:
    return form in (str, int) or isinstance(form, Text)


def _check_plain(value: dict[str, Any] | list[Any], depth: int) -> None:
    """Raises a ValueError where values are nested too deep, or a number in them is too large."""
    if depth > _MOST_DEEP:
        raise ValueError("it is nested too deep")
    inner: Any = value.values() if isinstance(value, dict) else value
    for one in inner:
        kind = type(one)
        if kind is dict or kind is list:
            _check_plain(one, depth + 1)
        elif (kind is int or kind is float) and not -_LARGEST <= one < _LARGEST:
            raise ValueError("a number in it is too large")


def _note(problems: list[str], problem: str) -> None:
    if len(problems) < _TOLD:
        problems.append(problem)


def _told(where: str, value: Any) -> str:
    shown = repr(value) if isinstance(value, (str, int, float, bool, type(None))) else type(value).__name__
    return f"{where} is {shown if len(shown) <= 60 else shown[:57] + '...'}"
