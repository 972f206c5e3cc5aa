"""What happens off the hot path: an element refused, an element timed, an endless generator.

The process functions of `counted_process` call it when something is out of the ordinary.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Iterable, Iterator
from time import perf_counter_ns
from types import GeneratorType
from typing import TYPE_CHECKING, Any, NoReturn

from apache_beam.coders import Coder
from apache_beam.pvalue import TaggedOutput

from beam_obs.records.errors import IsolationFailed, ServiceDown, no_home
from beam_obs.records.run_context import ObservationSettings, RunContext
from beam_obs.wrapper.exception_note import NOTE, put_note
from beam_obs.wrapper.isolation import Isolation
from beam_obs.wrapper.redaction import Redaction
from beam_obs.wrapper.refusal import DEAD_TAG, NO_ELEMENT, Refusal, refuse_element
from beam_obs.wrapper.refused_span import told_in_span
from beam_obs.wrapper.retrying import Retry

if TYPE_CHECKING:
    from beam_obs.traces.step_tracer import StepTracer

_OF_NO_ELEMENT = (MemoryError, ServiceDown, IsolationFailed)
_LOGGER = logging.getLogger(__name__)


@dataclasses.dataclass
class GuardSettings:
    """How one stage treats its elements; pickled with the DoFn.

    Args:
      stage: full label of the stage.
      context: the run.
      settings: what holds for all stages of the pipeline.
      coder: coder of the stage's input.
      coder_name: that coder's name.
      keeps_dead_letters: whether refused elements have a home; if not, errors are raised.
      partial: whether what a generator yielded before it failed is passed on.
      keeps_lineage: whether elements carry lineage attributes that outputs are to inherit.
      redaction: what of refused elements may be kept; None for all.
      splits_batches: whether an element is a list that can be tried again in parts when it fails.
      record_of: gives the record that an element stands for, which is what a dead letter keeps; None where
        elements are records.
      retry: which errors are transient, and how an element is tried again; None where it never is.
      isolation: what an element may take of the process that it is handled in; None where that is the worker.
    """

    stage: str
    context: RunContext
    settings: ObservationSettings
    coder: Coder | None = None
    coder_name: str = ""
    keeps_dead_letters: bool = False
    partial: bool = False
    keeps_lineage: bool = False
    splits_batches: bool = False
    redaction: Redaction | None = None
    record_of: Callable[[Any], Any] | None = None
    retry: Retry | None = None
    isolation: Isolation | None = None


class Guard:
    """Refuses, times and holds back for one stage; counts what does not go through the hot path.

    Attributes:
      taken, out, filtered: elements beside those that the process functions count themselves.
      dead: elements refused.
      leftovers: refusals that stand for no element: the end of a bundle, or a timer, failed; or for a
        part of one.
      internal_errors: errors of our own code, swallowed.
      retried: attempts beside the first ones.
      tracer: tells of what is refused, where the run is traced; known on workers.
    """

    def __init__(self, settings: GuardSettings) -> None:
        self.settings = settings
        self.taken = 0
        self.out = 0
        self.filtered = 0
        self.dead = 0
        self.leftovers = 0
        self.internal_errors = 0
        self.retried = 0
        self.tracer: StepTracer | None = None
        self.observe_latency: Callable[[int], None] = _ignore
        self._said_capped = False

    def refuse(self, element: Any, error: Exception, provenance: bytes | None = None) -> list[Any]:
        """Returns the dead letter of `element` as a tagged output.

        Called while `error` is handled, which is raised again where dead letters have no home, and
        where it is no matter of the element.

        Args:
          element: the element, or `NO_ELEMENT`.
          error: what the user's code raised.
          provenance: of the element, where it is at hand; else it is looked for.
        """
        settings = self.settings
        if not self.may_refuse(error):
            self.fail(error)
        if settings.record_of is not None and element is not NO_ELEMENT:
            element = settings.record_of(element)
        refusal = refuse_element(
            element,
            error,
            settings.stage,
            settings.coder,
            settings.coder_name,
            settings.redaction,
            provenance,
        )
        if element is NO_ELEMENT:
            self.leftovers += 1
        else:
            self.dead += 1
        return [TaggedOutput(DEAD_TAG, self._told(refusal, error))]

    def may_refuse(self, error: Exception) -> bool:
        """Returns whether an error is its element's, and dead letters have a home."""
        return self.settings.keeps_dead_letters and not isinstance(error, _OF_NO_ELEMENT)

    def fail(self, error: Exception) -> NoReturn:
        """Raises an error that is being handled and makes no dead letter; a traceback of it says why."""
        if not self.settings.keeps_dead_letters:
            put_note(error, f"{NOTE}refused by {no_home(self.settings.stage)}")
        raise error

    def refuse_part(self, part: Any, error: Exception) -> list[Any]:
        """Returns the dead letter of a part of an element, whose coder is not that of the elements."""
        settings = self.settings
        if not self.may_refuse(error):
            self.fail(error)
        self.leftovers += 1
        refusal = refuse_element(part, error, settings.stage, None, "", settings.redaction)
        return [TaggedOutput(DEAD_TAG, self._told(refusal, error))]

    def _told(self, refusal: Refusal, error: Exception) -> Refusal:
        """Returns a refusal with the span that tells of it, where the run is traced."""
        if self.tracer is None:
            return refusal
        try:
            return told_in_span(refusal, error, self.tracer)
        except Exception:
            self.internal_errors += 1
            return refusal

    def timed(self, process: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Returns what `process` gives, noting how long it took."""
        started = perf_counter_ns()
        results = process(*args, **kwargs)
        # Lazy results have only been begun: their time would not be the element's.
        if results.__class__ is not GeneratorType:
            self.observe_latency(perf_counter_ns() - started)
        return results

    def go_on(self, element: Any, held: list[Any], iterator: Iterator[Any]) -> Iterable[Any]:
        """Returns the outputs held back so far, then the rest of them as they come.

        For results longer than the cap, and for ``partial=True``: if the rest fails, what was passed
        on stays, and the element is a dead letter as well.
        """
        if held and not self._said_capped:
            self._said_capped = True
            _LOGGER.warning(
                "stage %r: an element has more than %d outputs; they are passed on as they come, so they "
                "stay if it fails later (all or nothing holds up to that number)",
                self.settings.stage,
                self.settings.settings.output_cap,
            )
        return self._go_on(element, held, iterator)

    def _go_on(self, element: Any, held: list[Any], iterator: Iterator[Any]) -> Iterator[Any]:
        self.out += len(held)
        yield from held
        passed_on = len(held)
        while True:
            try:
                result = next(iterator)
            except StopIteration:
                break
            except Exception as error:
                yield from self.refuse(element, error)
                return
            passed_on += 1
            self.out += 1
            yield result
        if not passed_on:
            self.filtered += 1


def _ignore(_: int) -> None:
    return None
