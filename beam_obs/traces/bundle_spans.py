"""The spans that a thread has made of the bundle at hand: what comes next at a later step is a child of them.

Steps that a runner has fused work on a record one after the other, on one thread: so the newest span of an
origin among those of the steps before is the one that the element came from. Across a shuffle nothing
is known here.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from opentelemetry.trace import Span, SpanContext

    from beam_obs.traces.step_span import StepSpan

MOST_ORIGINS = 4_096
"""Origins whose spans at a step are known; beyond it a thread forgets those that it knew."""
MOST_BEGUN = 512
"""Spans that are noted before they are identified and handed on."""


class SpanMade(NamedTuple):
    """What an origin's newest span at a step is.

    Args:
      context: its ids.
      serial: which of all spans of the bundle.
      key: the id that it was to have, which a provider of the user's does not give it.
    """

    context: SpanContext
    serial: int
    key: int


class BundleSpans:
    """The spans of a thread's bundle.

    Those of ours are noted when they begin, and identified and handed on many at a time.

    Attributes:
      nonce: drawn for each bundle: two tries of one have the same spans, by it they are told apart.
      failing: the span of the call that has raised, and what it raised.
    """

    def __init__(self) -> None:
        self._at_work: set[int] = set()
        self._is_beginning = False
        self._begun: list[StepSpan] = []
        self._identified = 0
        self._identifying = threading.RLock()
        self._begin()

    def begin(self, step: object) -> None:
        """Begins a bundle, where this is the first of the steps that do.

        Args:
          step: that begins it: all of those that a runner has fused do, one after the other.
        """
        if not self._is_beginning:
            self.give()
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
        self._made: dict[str, dict[bytes, SpanMade | StepSpan]] = {}
        self._seen: dict[int, int] = {}
        self._serial = self._letters = 0

    def next_letter(self) -> str:
        """Returns what tells a dead letter of this bundle from all others of the run."""
        self._is_beginning = False
        self._letters += 1
        return f"{self.nonce}.{self._letters - 1}"

    def newest(self, origin: bytes, steps: Sequence[str]) -> SpanMade | StepSpan | None:
        """Returns the newest span of an origin at some steps; None where there is none in this bundle."""
        newest = None
        for step in steps:
            of_step = self._made.get(step)
            found = None if of_step is None else of_step.get(origin)
            if found is not None and (newest is None or found.serial > newest.serial):
                newest = found
        return newest

    def count(self, key: int) -> int:
        """Returns how many spans of this bundle were to have an id before this one."""
        if len(self._seen) >= MOST_ORIGINS:
            self._seen.clear()
        before = self._seen.get(key, 0)
        self._seen[key] = before + 1
        return before

    def note(self, origin: bytes, step: str, context: SpanContext, key: int) -> None:
        """Notes a span that a provider of the user's has made.

        Args:
          origin: of the record.
          step: label of the step.
          context: ids of the span.
          key: the id that it was to have.
        """
        self._put(origin, step, SpanMade(context, self._serial + 1, key))

    def note_begun(self, origin: bytes, step: str, span: StepSpan) -> None:
        """Notes a span of ours that has begun, and hands on those before it where they are many.

        Args:
          origin: of the record.
          step: label of the step.
          span: the span.
        """
        span.serial = self._serial + 1
        self._put(origin, step, span)
        begun = self._begun
        begun.append(span)
        if len(begun) == 1:
            span.maker.unfinished.add(self)
        elif len(begun) >= MOST_BEGUN:
            self.give()

    def _put(self, origin: bytes, step: str, span: SpanMade | StepSpan) -> None:
        self._is_beginning = False
        self._serial += 1
        of_step = self._made.get(step)
        if of_step is None:
            of_step = self._made[step] = {}
        elif len(of_step) >= MOST_ORIGINS:
            of_step.clear()
        of_step[origin] = span

    @property
    def waiting(self) -> int:
        """How many spans have begun that are not handed on."""
        return len(self._begun)

    def identify(self) -> None:
        """Gives all spans that have begun their ids, in the order in which they have: those of a record
        follow from those before it."""
        with self._identifying:  # user code may ask for an id in a thread of its own
            begun = self._begun
            while self._identified < len(begun):
                self._identified += 1
                begun[self._identified - 1].identify()

    def give(self) -> None:
        """Hands on the spans that have ended; the others go on by themselves when they end."""
        if not self._begun:
            return
        with self._identifying:
            self.identify()
            begun, self._begun, self._identified = self._begun, [], 0
        for span in begun:
            span.give()
        begun[0].maker.unfinished.discard(self)

    def forget_begun(self) -> None:
        """Forgets the spans that have begun, in a process that was forked: the other one hands them on."""
        self._begun, self._identified, self._identifying = [], 0, threading.RLock()

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


def _forget_begun() -> None:
    _OF_THREAD.bundle.forget_begun()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_begun)
