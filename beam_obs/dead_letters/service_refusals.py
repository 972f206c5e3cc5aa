"""Records that a service refused, as the transforms of Beam that speak with it report them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import apache_beam as beam
from apache_beam.coders import Coder

from beam_obs.metrics import live
from beam_obs.metrics.tally import Counts, Tally
from beam_obs.records.errors import BeamObsError
from beam_obs.records.payload import coder_name
from beam_obs.records.run_context import RunContext
from beam_obs.wrapper.failure import Failure, fingerprint, type_name
from beam_obs.wrapper.redaction import Redaction
from beam_obs.wrapper.refusal import NO_ELEMENT, Refusal, refuse_failure
from beam_obs.wrapper.untyped import Untyped

_REASONS_NAMED = 10


class RefusedByService(BeamObsError):
    """A service did not take a record."""


class ReadFailedRows(Untyped, beam.DoFn):
    """Makes a `Refusal` of each row that BigQuery refused, and counts it as dead instead of passed on.

    Takes what Beam gives as ``failed_rows_with_errors``: ``(destination, row, errors)`` of streaming
    inserts; ``error_message`` and ``failed_row``, in a dict or a row, of the Storage Write API; and
    ``(destination, None, errors)`` for what a load job reports of records that it left out.

    Args:
      stage: full label of the write.
      context: the run.
      coder: coder of the rows.
      redaction: what of them may be kept; None for all.
    """

    def __init__(
        self, stage: str, context: RunContext, coder: Coder | None, redaction: Redaction | None = None
    ) -> None:
        self._stage = stage
        self._context = context
        self._coder = coder
        self._coder_name = coder_name(coder) if coder is not None else ""
        self._redaction = redaction

    def setup(self) -> None:
        """Makes the counts."""
        self._dead = self._leftovers = 0
        # The write has counted them as passed on already; what stands for no row it has not.
        self._tally = Tally(
            lambda: Counts(out=self._leftovers - self._dead, dead=self._dead, leftovers=self._leftovers)
        )
        live.register(self._context.run, self._stage, self._tally)

    def process(self, failure: Any) -> Iterable[Refusal]:
        """Gives the refusal of one row."""
        destination, row, errors = _parts(failure)
        self._dead += 1
        if row is NO_ELEMENT:
            self._leftovers += 1
        text, detail = _told(errors)
        where = f" [{destination}]" if destination else ""
        kind = type_name(RefusedByService())
        message = f"{text}{where}"
        described = Failure(kind, message, f"{kind}: {message}\n", fingerprint(kind, self._stage, detail))
        return [refuse_failure(row, described, self._coder, self._coder_name, self._redaction)]

    def finish_bundle(self) -> None:
        """Adds to Beam's counters."""
        self._tally.flush()

    def teardown(self) -> None:
        """Lets go of the counts."""
        live.retire(self._context.run, self._stage, self._tally)


def _parts(failure: Any) -> tuple[str, Any, Any]:
    """Returns table, row and errors of a failure."""
    if isinstance(failure, Mapping):
        return "", failure["failed_row"], failure["error_message"]
    if hasattr(failure, "failed_row"):
        return "", failure.failed_row, failure.error_message
    destination, row, errors = failure
    return str(destination), NO_ELEMENT if row is None else row, errors


def _told(errors: Any) -> tuple[str, str]:
    """Returns the errors of a row as text, and what tells their kind without values of the row."""
    if not isinstance(errors, (list, tuple)):
        return str(errors), ""
    texts, kinds = [], []
    for error in errors[:_REASONS_NAMED]:
        if not isinstance(error, Mapping):
            texts.append(str(error))
            continue
        reason, place = error.get("reason") or "refused", error.get("location") or ""
        kinds.append(f"{reason}:{place}")
        texts.append(f"{reason}{f' at {place}' if place else ''}: {error.get('message') or 'no message'}")
    return "; ".join(texts) or "refused without a reason", ",".join(sorted(set(kinds)))
