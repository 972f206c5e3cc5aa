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
from typing import Any, NamedTuple

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

    Raises:
      ValueError: it is no JSON object, or one that cannot be walked or computed with.
    """
    try:
        value = json.loads(content)
        _check_plain(value, 0)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    if not isinstance(value, dict):
        raise ValueError("it is no object")
    return value


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
    if type(value) is form:  # most values are what they should be, and a store may have a million of them
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
            kind = type(value[name])
            if kind is of_field or (isinstance(of_field, (Needed, Maybe)) and kind is of_field.form):
                continue
            try:
                fitted[name] = fit(value[name], of_field, f"{where}.{name}" if where else name, problems)
                continue
            except ValueError as error:
                _note(problems, str(error))
                del fitted[name]
        if isinstance(of_field, Needed):
            fitted[name] = of_field.otherwise
        elif of_field in (str, int) or isinstance(of_field, Text):
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
        return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).tzinfo is not None
    except ValueError:
        return False


def _check_plain(value: Any, depth: int) -> None:
    if depth > _MOST_DEEP:
        raise ValueError("it is nested too deep")
    if isinstance(value, (dict, list)):
        for one in value.values() if isinstance(value, dict) else value:
            if type(one) is not str:
                _check_plain(one, depth + 1)
    elif isinstance(value, (int, float)) and not -_LARGEST <= value < _LARGEST:
        raise ValueError("a number in it is too large")


def _note(problems: list[str], problem: str) -> None:
    if len(problems) < _TOLD:
        problems.append(problem)


def _told(where: str, value: Any) -> str:
    shown = repr(value) if isinstance(value, (str, int, float, bool, type(None))) else type(value).__name__
    return f"{where} is {shown if len(shown) <= 60 else shown[:57] + '...'}"
