"""What an assumption on a record is, and what is told of a record that breaks it."""

from __future__ import annotations

import dataclasses
import difflib
import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from beam_obs.checks.field_path import MISSING, FieldPath
from beam_obs.records.errors import BeamObsError, UsageError

_SHOWN_VALUE = 200


class Break(NamedTuple):
    """One assumption that a record broke.

    Args:
      assumption: its name.
      fields: the fields it is about, as text; empty for the whole record.
      values: their values; `MISSING` where the record has no such field.
      expected: the limit, for people.
      error: what the test raised, if it did.
      nearest: for fields that the record does not have, its own with the nearest name, if any.
    """

    assumption: str
    fields: tuple[str, ...]
    values: tuple[Any, ...]
    expected: str
    error: Exception | None = None
    nearest: tuple[str | None, ...] = ()

    @property
    def text(self) -> str:
        """What was found and what was expected.

        >>> Break("on the clock", ("dep_time",), (2460,), "0 to 2400").text
        'on the clock: dep_time is 2460, expected 0 to 2400'
        """
        found = ", ".join(
            f"{field} is {shown_value(value)}" for field, value in zip(self.fields, self.values, strict=True)
        )
        raised = ""
        if self.error is not None:
            raised = f" ({type(self.error).__name__}: {' '.join(str(self.error).split())})"
        near = ", ".join(repr(name) for name in self.nearest if name is not None)
        meant = f" (the record has {near})" if near else ""
        return f"{self.assumption}: {found}{meant}, expected {self.expected}{raised}"


class AssumptionBroken(BeamObsError):
    """A record broke assumptions of an `obs.Check`.

    Args:
      breaks: the assumptions broken, in the order of the Check; at least one.
    """

    def __init__(self, breaks: tuple[Break, ...]) -> None:
        super().__init__("; ".join(broken.text for broken in breaks))
        self.breaks = breaks

    @property
    def fingerprint_parts(self) -> tuple[str, ...]:
        """What tells one kind of failure from another: the first assumption broken."""
        return (self.breaks[0].assumption,)

    def __reduce__(self) -> tuple[type[AssumptionBroken], tuple[tuple[Break, ...]]]:
        # A value may be one that cannot be pickled: its text can.
        breaks = tuple(
            broken._replace(values=tuple(_Shown(shown_value(value)) for value in broken.values), error=None)
            for broken in self.breaks
        )
        return (AssumptionBroken, (breaks,))


@dataclasses.dataclass(frozen=True)
class Assumption:
    """Something that is to hold for every record. Made by the functions below.

    Args:
      name: says what is assumed; counted and grouped by.
      paths: the fields it is about; the whole record where there are none.
      expected: the limit, for people.
      test: given the fields' values, or the record, says whether it holds.
      source: Python source of the same test for the fast path; ``{0}``, ``{1}``... stand for the values,
        ``{test}`` and the names of ``constants`` for what they are.
      constants: what else the source names.
      allow_none: whether fields that are None are passed over.
      allow_missing: whether fields that are not there are passed over.
      each: whether each field is tested by itself, and not all together.
    """

    name: str
    paths: tuple[FieldPath, ...]
    expected: str
    test: Callable[..., Any]
    source: str
    constants: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    allow_none: bool = False
    allow_missing: bool = False
    each: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise UsageError(f"an assumption got name={self.name!r}: say in words what is assumed")

    def users_parts(self) -> tuple[Any, ...]:
        """Returns what it holds of the user's."""
        limits = (self.expected, self.constants, self.allow_none, self.allow_missing)
        return self.name, [path.parts for path in self.paths], self.test, *limits

    def breaks(self, record: Any) -> list[Break]:
        """Returns how `record` breaks this assumption: empty where it holds."""
        if not self.paths:
            return self._tested((), (record,))
        values = tuple(path.of(record) for path in self.paths)
        fields = tuple(str(path) for path in self.paths)
        if self.each:
            pairs = zip(fields, values, strict=True)
            found = [broken for field, value in pairs for broken in self._tested((field,), (value,))]
        else:
            found = self._tested(fields, values)
        lacks = any(value is MISSING for value in values)
        return (
            [broken._replace(nearest=_nearest(record, broken.fields)) for broken in found] if lacks else found
        )

    def _tested(self, fields: tuple[str, ...], values: tuple[Any, ...]) -> list[Break]:
        error = None
        if fields and any(value is MISSING or value is None for value in values):
            passed_over = all(
                (value is not MISSING or self.allow_missing) and (value is not None or self.allow_none)
                for value in values
            )
            if passed_over:
                return []
        else:
            try:
                if self.test(*values):
                    return []
            except Exception as raised:
                error = raised
        return [Break(self.name, fields or ("the record",), values, self.expected, error)]


@dataclasses.dataclass(frozen=True)
class Unique(Assumption):
    """That no two records of a window have the same values in some fields."""


class _Shown:
    """Stands for a value by its text."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def _nearest(record: Any, fields: tuple[str, ...]) -> tuple[str | None, ...]:
    """Returns the fields of a record whose names are nearest to those that it lacks."""
    if isinstance(record, Mapping):
        names = tuple(name for name in record if isinstance(name, str))
    else:
        names = tuple(getattr(record, "_fields", ()) or getattr(record, "__dict__", ()))
    parts = [field.partition(".")[0] for field in fields]
    return tuple(None if part in names else _nearest_name(part, names) for part in parts)


@functools.lru_cache(maxsize=256)
def _nearest_name(field: str, names: tuple[str, ...]) -> str | None:
    return next(iter(difflib.get_close_matches(field, names, 1)), None)


def shown_value(value: Any) -> str:
    """Returns a value for a message: cut, and said where it is missing or cannot be shown."""
    if value is MISSING:
        return "missing"
    try:
        text = repr(value)
    except Exception as error:
        text = f"<{type(value).__qualname__}: repr() raised {type(error).__name__}>"
    return text if len(text) <= _SHOWN_VALUE else f"{text[:_SHOWN_VALUE]}..."
