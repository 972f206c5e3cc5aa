"""Which steps of a Stage can be tried again: those whose code an attempt that failed leaves as it was."""

from __future__ import annotations

from typing import Any

from apache_beam.transforms.core import ParDo

from beam_obs.records.errors import UsageError
from beam_obs.stages.bonds import Bonds
from beam_obs.wrapper.retrying import Retry

_BONDS = Bonds(
    restriction="it is splittable: what it claimed of its restriction before it failed is done",
    state="it has state or timers: what an attempt wrote before it failed stays written",
    batches="it takes batches, and those that fail are tried element by element already",
    finalizer="it registers with the end of the bundle, and each attempt would do so",
)
_NO_EXAMPLE = "give an obs.Retry, e.g. retry=obs.Retry(on=[ConnectionError, TimeoutError])"


def given_retry(retry: Any, partial: bool) -> Retry | None:
    """Returns how a Stage tries its records again.

    Args:
      retry: as the user gave it.
      partial: whether what a generator gave before it failed is passed on.

    Raises:
      UsageError: it is no `Retry`, or cannot go with `partial`.
    """
    if retry is not None and not isinstance(retry, Retry):
        raise UsageError(f"retry={retry!r}: {_NO_EXAMPLE}")
    if retry is not None and partial:
        raise UsageError(
            "retry= and partial=True: what a generator gave before it failed would be given again by the "
            "next attempt; leave one of them out"
        )
    return retry


def why_not_again(pardo: ParDo) -> str | None:
    """Returns why elements of a step cannot be tried again; None where they can.

    >>> import apache_beam as beam
    >>> why_not_again(beam.Map(str.upper)) is None
    True
    """
    return _BONDS.of(pardo)
