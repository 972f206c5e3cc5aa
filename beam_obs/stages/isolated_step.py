"""Which steps can run in a process of their own: those of which nothing is lost where it has to be ended."""

from __future__ import annotations

from typing import Any

import apache_beam as beam
from apache_beam.transforms.core import ParDo

from beam_obs.records.errors import UsageError
from beam_obs.records.given import given_flag, given_number
from beam_obs.stages.bonds import Bonds, asks_for
from beam_obs.wrapper.isolation import Isolation
from beam_obs.wrapper.retrying import given_seconds

_BONDS = Bonds(
    restriction="it is splittable, and its restriction is the runner's",
    state="it has state or timers, which only the worker can reach",
    batches="it takes batches, of which a process that is ended would lose more than one record",
    finalizer="it registers with the end of the bundle, which only the worker knows",
)


def given_isolation(isolate: Any, timeout: Any, memory: Any, partial: bool) -> Isolation | None:
    """Returns what a record may take of a process of its own; None where it has none.

    Args:
      isolate: as the user gave it; a timeout or a limit of memory isolates too.
      timeout: as the user gave it.
      memory: as the user gave it.
      partial: whether what a generator gave before it failed is passed on.

    Raises:
      UsageError: one of them cannot be what it is.
    """
    if not given_flag(isolate, "isolate") and timeout is None and memory is None:
        return None
    if timeout is not None and not given_seconds(timeout, "timeout"):
        raise UsageError("timeout=0: give the seconds that a record may take, e.g. timeout=30")
    if memory is not None:
        given_number(memory, "memory", 1)
    if partial:
        raise UsageError(
            "partial=True and isolate=True, timeout= or memory=: a process of its own hands on what a record "
            "gives as a whole; leave one of them out"
        )
    return Isolation(None if timeout is None else float(timeout), memory)


def why_not_isolated(pardo: ParDo) -> str | None:
    """Returns why the code of a step cannot run in a process of its own; None where it can.

    >>> import apache_beam as beam
    >>> why_not_isolated(beam.Map(str.upper)) is None
    True
    """
    bond = _BONDS.of(pardo)
    if bond is not None:
        return bond
    if type(pardo.fn).finish_bundle is not beam.DoFn.finish_bundle and not _calls_a_function(pardo):
        return "it has a finish_bundle: what it gathered would be lost with a process that is ended"
    if asks_for(pardo, beam.DoFn.BundleContextParam, beam.DoFn.SetupContextParam):
        return "it has a context of the worker's: make it in setup"
    return None


def _calls_a_function(pardo: ParDo) -> bool:
    return isinstance(pardo.fn, beam.transforms.core.CallableWrapperDoFn)
