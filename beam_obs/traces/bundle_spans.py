"""The spans that a thread has made of the bundle at hand: what comes next at a later step is a child of them.

Steps that a runner has fused work on a record one after the other, on one thread: so the newest span of an
origin among those of the steps before is the one that the element came from. Across a shuffle nothing
is known here.
"""

from __future__ import annotations

import hashlib
import os
import threading
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from opentelemetry.trace import Span, SpanContext

MOST_ORIGINS = 4_096
"""Origins whose spans are known; beyond it a thread forgets those that it knew."""


class SpanMade(NamedTuple):
    """What an origin's newest span at a step is.

    Args:
      context: its ids.
      serial: which of all spans of the bundle.
    """

    context: SpanContext
    serial: int


class BundleSpans:
    """The spans of a thread's bundle.

    Attributes:
      nonce: drawn for each bundle: two tries of one have the same spans, by it they are told apart.
      failing: the span of the call that has raised, and what it raised.
    """

    def __init__(self) -> None:
        self._at_work: set[int] = set()
        self._is_beginning = False
        self._begin()

    def begin(self, step: object) -> None:
        """Begins a bundle, where this is the first of the steps that do.

        Args:
          step: that begins it: all of those that a runner has fused do, one after the other.
        """
        if not self._is_beginning:
            self._begin()
            self._at_work.clear()
            self._is_beginning = True
        self._at_work.add(id(step))

    def is_last(self, step: object) -> bool:
        """Returns whether a step that ends its bundle is the last that does."""
        self._is_beginning = False
        self._at_work.discard(id(step))
        return not self._at_work

    def _begin(self) -> None:
        self.nonce = os.urandom(6).hex()
        self.failing: tuple[Span, BaseException, int] | None = None
        self._of_origins: dict[bytes, dict[str, SpanMade]] = {}
        self._contents: dict[tuple[bytes, str, bytes], int] = {}
        self._serial = self._letters = 0

    def next_letter(self) -> str:
        """Returns what tells a dead letter of this bundle from all others of the run."""
        self._is_beginning = False
        self._letters += 1
        return f"{self.nonce}.{self._letters - 1}"

    def of(self, origin: bytes) -> dict[str, SpanMade]:
        """Returns the newest span of an origin at each step."""
        self._is_beginning = False
        found = self._of_origins.get(origin)
        if found is None:
            if len(self._of_origins) >= MOST_ORIGINS:
                self._of_origins.clear()
            found = self._of_origins[origin] = {}
        return found

    def count(self, origin: bytes, step: str, content: bytes) -> int:
        """Returns how many elements of an origin with this content a step has had, before this one."""
        if len(self._contents) >= MOST_ORIGINS:
            self._contents.clear()
        key = (origin, step, content and hashlib.blake2b(content, digest_size=16).digest())
        before = self._contents.get(key, 0)
        self._contents[key] = before + 1
        return before

    def note(self, made: dict[str, SpanMade], step: str, context: SpanContext) -> None:
        """Notes a span of an origin.

        Args:
          made: what `of` gave of the origin.
          step: label of the step.
          context: ids of the span.
        """
        self._serial += 1
        made[step] = SpanMade(context, self._serial)

    def take_failing(self, error: BaseException) -> tuple[Span, int] | None:
        """Returns the span of the call that raised `error`, and when; None where there is none."""
        failing, self.failing = self.failing, None
        return failing[::2] if failing is not None and failing[1] is error else None


class _OfThread(threading.local):
    def __init__(self) -> None:
        self.bundle = BundleSpans()


_OF_THREAD = _OfThread()


def bundle_of_thread() -> BundleSpans:
    """Returns the spans of the bundle that this thread works on."""
    return _OF_THREAD.bundle
