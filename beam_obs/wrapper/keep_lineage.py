"""Lineage attributes kept from an element to its outputs, where a source upstream stamped them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

from apache_beam.pvalue import TaggedOutput
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.windowed_value import WindowedValue

from beam_obs.wrapper.refusal import DEAD_TAG, lineage_of


def keeping_lineage(process: Callable[..., Any]) -> Callable[..., Any]:
    """Returns `process` with its element's ``_lineage`` put into each output that has room for it.

    A dict has room, a dataclass with a field ``_lineage`` too, also as the value of a pair; an output
    that has attributes of its own keeps them. The element is the first argument.
    """

    def process_and_keep(element: Any, *args: Any, **kwargs: Any) -> Any:
        results = process(element, *args, **kwargs)
        attributes = lineage_of(element)
        if attributes is None or not results:
            return results
        if isinstance(results, (list, tuple)):
            return [_with(result, attributes) for result in results]
        return _each_with(results, attributes)

    return process_and_keep


def _each_with(results: Iterable[Any], attributes: dict[str, Any]) -> Iterable[Any]:
    for result in results:
        yield _with(result, attributes)


def _with(result: Any, attributes: dict[str, Any]) -> Any:
    kind = type(result)
    if kind is dict:
        return result if result.get("_lineage") is not None else {**result, "_lineage": attributes}
    if kind is tuple and len(result) == 2:
        kept = _with(result[1], attributes)
        return result if kept is result[1] else (result[0], kept)
    if kind is TaggedOutput:
        return result if result.tag == DEAD_TAG else TaggedOutput(result.tag, _with(result.value, attributes))
    if kind is TimestampedValue:
        return TimestampedValue(_with(result.value, attributes), result.timestamp)
    if isinstance(result, WindowedValue):
        return result.with_value(_with(result.value, attributes))
    if getattr(result, "_lineage", attributes) is None and dataclasses.is_dataclass(result):
        return dataclasses.replace(result, _lineage=attributes)  # type: ignore[type-var]
    return result
