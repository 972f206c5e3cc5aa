"""Assumptions on a record, for `obs.Check`: each has a name, the fields it is about, and a limit.

    obs.Check(
        obs.between("dep_time", 0, 2400, allow_none=True),
        obs.one_of("carrier", {"AA", "UA"}),
        obs.holds("leaves before it lands", operator.lt, "departure", "arrival"),
    )

A field is a key of a dict or an attribute; ``"a.b"`` is b inside a (`FieldPath`). Everywhere, a field
that is None breaks the assumption unless ``allow_none=True``, and one that is not there breaks it unless
``allow_missing=True``. A test that raises is an assumption broken.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from beam_obs.checks.assumption import Assumption, Unique
from beam_obs.checks.field_path import Field, FieldPath
from beam_obs.records.errors import UsageError
from beam_obs.wrapper.user_callable import refusal_of_arguments

_SHOWN_VALUES = 10
_EXAMPLES = {
    "between": 'obs.between("dep_time", 0, 2400)',
    "one_of": 'obs.one_of("carrier", {"AA", "UA"})',
    "matches": 'obs.matches("tail", "N[0-9]+")',
    "of_type": 'obs.of_type("count", int)',
    "not_null": 'obs.not_null("id")',
    "unique": 'obs.unique("id")',
    "holds": 'obs.holds("lands later", operator.lt, "leaves", "lands")',
}


def between(
    field: Field,
    low: Any = None,
    high: Any = None,
    *,
    name: str | None = None,
    allow_none: bool = False,
    allow_missing: bool = False,
) -> Assumption:
    """Assumes that a field is from `low` to `high`, both included.

    Args:
      field: a key or an attribute; ``"a.b"`` for b inside a, or a tuple of names.
      low: the lowest value, of the field's own type; None for no lowest.
      high: the highest value; None for no highest.
      name: says what is assumed; by default made of the field and this function's name.
      allow_none: whether a field that is None is passed over.
      allow_missing: whether a field that is not there is.

    Raises:
      UsageError: there is no limit, or the two cannot be compared or leave nothing between them.

    >>> between("dep_time", 0, 2400).breaks({"dep_time": 2460})[0].text
    'dep_time between: dep_time is 2460, expected 0 to 2400'
    >>> between("price", low=0).breaks({"price": -1})[0].text
    'price between: price is -1, expected at least 0'
    """
    _paths("between", (field,))
    if low is None and high is None:
        raise UsageError(f"between({field!r}) has no limit: give low, high or both")
    if low is not None and high is not None:
        in_order = _in_order(low, high)
        if in_order is None:
            raise UsageError(
                f"between({field!r}, {low!r}, {high!r}): {type(low).__name__} and {type(high).__name__} "
                "cannot be compared: give two limits of the field's own type"
            )
        if not in_order:
            raise UsageError(
                f"between({field!r}, {low!r}, {high!r}): nothing lies between these: give the lower one first"
            )
        expected, source = f"{low!r} to {high!r}", "{low} <= {0} <= {high}"
    elif high is None:
        expected, source = f"at least {low!r}", "{low} <= {0}"
    else:
        expected, source = f"at most {high!r}", "{0} <= {high}"

    def test(value: Any) -> bool:
        return (low is None or low <= value) and (high is None or value <= high)

    return _on_field(
        "between", field, expected, test, source, {"low": low, "high": high}, name, allow_none, allow_missing
    )


def one_of(
    field: Field,
    values: Collection[Any],
    *,
    name: str | None = None,
    allow_none: bool = False,
    allow_missing: bool = False,
) -> Assumption:
    """Assumes that a field is one of `values`. True is no 1 here.

    Args:
      field: a key or an attribute; ``"a.b"`` for b inside a, or a tuple of names.
      values: a set, list or dict of them; None among them is as ``allow_none=True``.
      name: says what is assumed; by default made of the field and this function's name.
      allow_none: whether a field that is None is passed over.
      allow_missing: whether a field that is not there is.

    Raises:
      UsageError: there are no values.

    >>> one_of("carrier", ["UA", "AA"]).breaks({"carrier": "ZZ"})[0].text
    "carrier one_of: carrier is 'ZZ', expected one of 'AA', 'UA'"
    """
    if isinstance(values, (str, bytes)) or not isinstance(values, Collection):
        raise UsageError(f"one_of({field!r}) got {values!r}: give a set, list or dict of values")
    allowed = [value for value in values if value is not None]
    if not allowed:
        raise UsageError(f"one_of({field!r}) got no values: every record would break it")
    known, bools = _told_apart(allowed)
    texts = sorted(map(repr, (*known, *bools)))
    test, expression = known.__contains__, "{0} in {known}"
    if any(value in (0, 1) for value in (*known, *bools)):
        test = lambda value: value in (bools if value.__class__ is bool else known)  # noqa: E731
        expression = "{0} in ({bools} if {0}.__class__ is bool else {known})"
    more = f" or {len(texts) - _SHOWN_VALUES} more" if len(texts) > _SHOWN_VALUES else ""
    return _on_field(
        "one_of",
        field,
        f"one of {', '.join(texts[:_SHOWN_VALUES])}{more}",
        test,
        expression,
        {"known": known, "bools": bools},
        name,
        allow_none or len(allowed) < len(values),
        allow_missing,
    )


def _told_apart(values: list[Any]) -> tuple[Collection[Any], frozenset[bool]]:
    """Returns the values that are no bools, each once where they can be hashed, and the bools."""
    others = [value for value in values if value.__class__ is not bool]
    bools = frozenset(value for value in values if value.__class__ is bool)
    try:
        return frozenset(others), bools
    except TypeError:
        return tuple(others), bools


def matches(
    field: Field,
    pattern: str | re.Pattern[str],
    *,
    name: str | None = None,
    allow_none: bool = False,
    allow_missing: bool = False,
) -> Assumption:
    """Assumes that the whole of a text matches a regular expression, as `re.fullmatch` does.

    Args:
      field: a key or an attribute; ``"a.b"`` for b inside a, or a tuple of names.
      pattern: the expression, as text or compiled.
      name: says what is assumed; by default made of the field and this function's name.
      allow_none: whether a field that is None is passed over.
      allow_missing: whether a field that is not there is.

    Raises:
      UsageError: `pattern` is no regular expression.

    >>> matches("tail", r"N\\w+").breaks({"tail": "D-AIBL"})[0].text
    "tail matches: tail is 'D-AIBL', expected a match of 'N\\\\\\\\w+'"
    """
    try:
        compiled = re.compile(pattern)
    except (re.error, TypeError) as error:
        raise UsageError(
            f"matches({field!r}) got {pattern!r}, which is no regular expression: {error}"
        ) from error
    return _on_field(
        "matches",
        field,
        f"a match of {compiled.pattern!r}",
        compiled.fullmatch,
        "{test}({0})",
        {},
        name,
        allow_none,
        allow_missing,
    )


def of_type(
    field: Field,
    *types: type,
    name: str | None = None,
    allow_none: bool = False,
    allow_missing: bool = False,
) -> Assumption:
    """Assumes that a field is an instance of one of `types`. A bool is no int here.

    Args:
      field: a key or an attribute; ``"a.b"`` for b inside a, or a tuple of names.
      types: one class or several.
      name: says what is assumed; by default made of the field and this function's name.
      allow_none: whether a field that is None is passed over.
      allow_missing: whether a field that is not there is.

    Raises:
      UsageError: there are no classes.

    >>> of_type("count", int).breaks({"count": "3"})[0].text
    "count of_type: count is '3', expected int"
    """
    if not types or not all(isinstance(one, type) for one in types):
        raise UsageError(
            f"of_type({', '.join(map(repr, (field, *types)))}): give one class or several, one by one, "
            "and allow_none=True for None"
        )
    bool_counts = bool in types or object in types

    def test(value: Any) -> bool:
        return isinstance(value, types) and (bool_counts or value.__class__ is not bool)

    return _on_field(
        "of_type",
        field,
        " or ".join(one.__name__ for one in types),
        test,
        "({0}.__class__ is {kind} or {test}({0}))",
        {"kind": types[0]},
        name,
        allow_none,
        allow_missing,
    )


def not_null(*fields: Field, name: str | None = None) -> Assumption:
    """Assumes that fields are there, and not None.

    Args:
      fields: keys or attributes, each looked at by itself.
      name: says what is assumed; by default made of the fields and this function's name.

    Raises:
      UsageError: there are no fields.

    >>> not_null("id", "origin").breaks({"id": 7})[0].text
    'id, origin not_null: origin is missing, expected a value'
    """
    paths = _paths("not_null", fields)
    return Assumption(
        name or f"{_listed(paths)} not_null", paths, "a value", lambda value: True, "True", each=True
    )


def holds(
    name: str,
    predicate: Callable[..., Any],
    *fields: Field,
    allow_none: bool = False,
    allow_missing: bool = False,
) -> Assumption:
    """Assumes that `predicate` is true of a record or, given fields, of their values.

    Args:
      name: says what is assumed, in words.
      predicate: takes the record, or as many values as there are fields.
      fields: what the predicate is given.
      allow_none: whether a record in which any of the fields is None is passed over.
      allow_missing: whether one that lacks any of them is.

    Raises:
      UsageError: `predicate` cannot be called with so many values, or there is no name.

    >>> lands_later = holds("lands later", lambda leaves, lands: leaves < lands, "leaves", "lands")
    >>> lands_later.breaks({"leaves": 900, "lands": 830})[0].text
    "lands later: leaves is 900, lands is 830, expected 'lands later' to hold"
    """
    if not isinstance(name, str) or not name:
        raise UsageError(
            f"holds() got {name!r} as its name: say in words what is assumed, then the predicate"
        )
    if not callable(predicate):
        raise UsageError(f"holds({name!r}) got {predicate!r} as its predicate: give a function")
    paths = _paths("holds", fields) if fields else ()
    given = f"the values of {_listed(paths)}" if paths else "the record"
    refusal = refusal_of_arguments(predicate, max(1, len(paths)))
    if refusal is not None:
        raise UsageError(f"holds({name!r}): its predicate cannot be called with {given}: {refusal}")
    values = ", ".join(f"{{{position}}}" for position in range(max(1, len(paths))))
    return Assumption(
        name,
        paths,
        f"{name!r} to hold",
        predicate,
        f"{{test}}({values})",
        allow_none=allow_none,
        allow_missing=allow_missing,
    )


def unique(*fields: Field, name: str | None = None, allow_none: bool = False) -> Assumption:
    """Assumes that no two records of a window have the same values in `fields`.

    One record of each value stays, and each further one breaks the assumption. Which one stays:

    - in batch, of those that break no other assumption of the Check the one with the earliest event time,
      and at the same time the one whose encoding is the smallest: not the order but the data decides, so
      a rerun keeps the same one;
    - in a stream, the first to arrive that breaks no other assumption.

    Records meet at a shuffle. Types count: 1 and 1.0 and "1" are three values.

    Args:
      fields: what is to be unique, all together.
      name: says what is assumed.
      allow_none: whether records in which any of the fields is None are passed over, however many.

    Raises:
      UsageError: there are no fields.

    >>> import apache_beam as beam
    >>> import beam_obs as obs
    >>> with beam.Pipeline("DirectRunner") as p:
    ...     trips = p | beam.Create([{"id": 1, "fare": 5}, {"id": 1, "fare": 7}])
    ...     once, again = trips | "once" >> obs.Check(obs.unique("id")).with_dead_letters()
    ...     _ = again | beam.Map(lambda letter: print(letter.error_message))
    id unique: id is 1, expected no other record of its window to have the same
    """
    paths = _paths("unique", fields)
    return Unique(
        name or f"{_listed(paths)} unique",
        paths,
        "no other record of its window to have the same",
        lambda *values: True,
        "True",
        allow_none=allow_none,
    )


def _on_field(
    kind: str,
    field: Field,
    expected: str,
    test: Callable[..., Any],
    source: str,
    constants: Mapping[str, Any],
    name: str | None,
    allow_none: bool,
    allow_missing: bool,
) -> Assumption:
    (path,) = _paths(kind, (field,))
    return Assumption(
        name or f"{path} {kind}", (path,), expected, test, source, constants, allow_none, allow_missing
    )


def _paths(kind: str, fields: tuple[Field, ...]) -> tuple[FieldPath, ...]:
    for field in fields:
        if isinstance(field, list):
            raise UsageError(
                f"{kind}() got the list {field!r} as a field: "
                + (
                    f"write obs.{kind}({', '.join(map(repr, field))})"
                    if kind in ("not_null", "unique")
                    else "give one name; for several fields, an assumption for each"
                )
            )
        if not isinstance(field, (str, tuple)):
            raise UsageError(
                f"{kind}() got {field!r} as a field: its name comes first, e.g. {_EXAMPLES.get(kind, kind)}"
            )
    paths = tuple(FieldPath(field) for field in fields)
    if not paths or not all(path.parts for path in paths):
        raise UsageError(f"{kind}() got no field: give the name of one")
    return paths


def _listed(paths: tuple[FieldPath, ...]) -> str:
    return ", ".join(map(str, paths))


def _in_order(low: Any, high: Any) -> bool | None:
    """Whether the one is not above the other; None where they cannot be compared."""
    try:
        return bool(low <= high)
    except TypeError:
        return None
