"""The forms in which an element travels through a woven pipeline, and how values get into them.

Woven is ``(provenance, value)``; keyed is ``(key, (provenance, value))`` and stands for ``(key, value)``, for
steps that have to see the key. What a provenance is, `beam_obs.records.contributors` says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from apache_beam.pvalue import TaggedOutput
from apache_beam.transforms.window import TimestampedValue, WindowFn
from apache_beam.utils.windowed_value import WindowedValue

PLAIN = "plain"
WOVEN = "woven"
KEYED = "keyed"
MEMBERS = "members"
"""``(key, [(provenance, value), ...])``: a group whose values have each their own, for a `ChoosingDoFn`."""
SEED = "seed"
"""Not an element of the user's but the start of a source: an Impulse."""
GROUPED = "grouped"
"""``(key, [(provenance, value)])``: what a GroupByKey makes of keyed elements."""
ACCUMULATED = "accumulated"
"""``(key, (summary, accumulator))`` on its way to a shuffle, or grouped behind it."""
RESHUFFLED = "reshuffled"
"""Inside of a reshuffle: ``(anything, element)``, the element woven or keyed, alone or with its time."""
LISTED = "listed"
"""A list of elements with their provenances."""

ROWS = "beam_obs_rows"
"""Tag of the output by which rows of evidence leave a step."""

ORDINARY: set[type] = {int, str, float, tuple, list, dict, bytes, bool, type(None), set, frozenset}
"""Kinds of results that are values, not one of Beam's wrappers around a value; grows as kinds are met."""

_MOST_KINDS = 4096


class Ends(NamedTuple):
    """The forms of what a DoFn of the weave takes and gives, by which each edge is checked.

    Args:
      takes: form of its elements.
      gives: form of its main output.
      tags: forms of other outputs; rows of evidence are always plain.
      beside: forms of its side inputs that are not plain.
    """

    takes: str
    gives: str
    tags: Mapping[str, str] = {}
    beside: Mapping[str, str] = {}


def pack(form: str, provenance: bytes, value: Any) -> Any:
    """Returns a value in a form.

    >>> pack(KEYED, b"origin", ("a", 1))
    ('a', (b'origin', 1))
    """
    if form == WOVEN:
        return (provenance, value)
    if form == KEYED:
        key, rest = value
        return (key, (provenance, rest))
    return value


def unpack(form: str, element: Any) -> tuple[bytes, Any]:
    """Returns the provenance and the value of an element in a form that has a provenance.

    >>> unpack(KEYED, ("a", (b"origin", 1)))
    (b'origin', ('a', 1))
    """
    if form == KEYED:
        key, (provenance, value) = element
        return provenance, (key, value)
    provenance, value = element
    return provenance, value


def packer(
    main: str,
    tags: dict[str, str],
    window_fn: WindowFn | None,
    notes: Mapping[str, Callable[[bytes], None]] | None = None,
    moved: Callable[[bytes, Any, str | None], None] | None = None,
) -> Callable[[bytes, Any], Any]:
    """Returns a function of a provenance and a result that packs the value inside of Beam's wrappers.

    Args:
      main: form of the main output.
      tags: forms of the tagged outputs; of others nobody reads, so theirs does not matter.
      window_fn: where it looks at elements, it is applied here, to the plain value.
      notes: what takes note of the provenance of an output, by its tag; None where nothing does.
      moved: what takes note of an output that has a time or windows of its own, by its tag.
    """

    def pack_result(provenance: bytes, result: Any) -> Any:
        if notes is not None and isinstance(result, TaggedOutput):
            if moved is not None and isinstance(result.value, (WindowedValue, TimestampedValue)):
                moved(provenance, result.value, result.tag)
            else:
                notes[result.tag](provenance)
        elif moved is not None and isinstance(result, (WindowedValue, TimestampedValue)):
            moved(provenance, result, None)
        if result.__class__ is TaggedOutput and result.value.__class__ in ORDINARY:
            form = tags.get(result.tag, WOVEN)
            if form == PLAIN:
                return result
            if form == WOVEN:
                return TaggedOutput(result.tag, (provenance, result.value))
        if isinstance(result, TaggedOutput):
            return TaggedOutput(result.tag, pack_inner(tags.get(result.tag, WOVEN), provenance, result.value))
        return pack_inner(main, provenance, result)

    def pack_inner(form: str, provenance: bytes, result: Any) -> Any:
        if isinstance(result, WindowedValue):
            return result.with_value(pack(form, provenance, result.value))
        if isinstance(result, TimestampedValue):
            if window_fn is None:
                return TimestampedValue(pack(form, provenance, result.value), result.timestamp)
            windows = window_fn.assign(WindowFn.AssignContext(result.timestamp, result.value))
            return WindowedValue(pack(form, provenance, result.value), result.timestamp, windows)
        if not isinstance(result, TaggedOutput) and len(ORDINARY) < _MOST_KINDS:
            ORDINARY.add(type(result))
        return pack(form, provenance, result)

    return pack_result
