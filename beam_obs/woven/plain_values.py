"""Values of woven elements where they are read many times: of a group too large to hold, of a side input."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from apache_beam.coders import coder_impl
from apache_beam.internal import pickler


class PlainValues:
    """Values read again each time, without their provenances.

    Args:
      pairs: each provenance and value.
    """

    def __init__(self, pairs: Iterable[tuple[bytes, Any]]) -> None:
        self._pairs = pairs

    def __iter__(self) -> Iterator[Any]:
        for _, value in self._pairs:
            yield value

    def __reduce__(self) -> Any:
        return (list, (list(self),))

    def __repr__(self) -> str:
        return f"PlainValues({self._pairs!r})"


coder_impl.FastPrimitivesCoderImpl.register_iterable_like_type(PlainValues)


class PlainView:
    """What makes a side input of woven elements: the user's own view, of their values.

    Args:
      payload: what makes the view of plain elements, as Beam pickled it.
    """

    def __init__(self, payload: bytes) -> None:
        self._payload = payload
        self._view = pickler.loads(payload)

    def __call__(self, pairs: Iterable[tuple[bytes, Any]]) -> Any:
        return self._view(PlainValues(pairs))

    def __reduce__(self) -> Any:
        return (PlainView, (self._payload,))
