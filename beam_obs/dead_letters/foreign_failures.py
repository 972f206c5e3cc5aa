"""Failures as other libraries report them, made into refusals: Beam's own, and asgarde's.

Beam's ``with_exception_handling`` gives ``(element, (class, repr, traceback lines))``, its IOs that take
an error handler give that or rows of their own; asgarde gives `Failure` objects. None of them knows its
step: the label of the step that gave them stands in.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import Any

import apache_beam as beam
from apache_beam import typehints
from apache_beam.coders import Coder, registry

from beam_obs.records.message_shape import message_shape
from beam_obs.records.payload import coder_name
from beam_obs.wrapper.failure import Failure, class_name, fingerprint
from beam_obs.wrapper.redaction import Redaction
from beam_obs.wrapper.refusal import Refusal, refuse_failure
from beam_obs.wrapper.untyped import Untyped

_FRAME = re.compile(r'File "(?P<file>[^"]+)", line \d+, in (?P<function>\S+)')
_NOT_THE_USERS = (f"{os.sep}apache_beam{os.sep}", f"{os.sep}asgarde{os.sep}", "<frozen ")


class ReadForeignFailures(Untyped, beam.DoFn):
    """Makes a `Refusal` of each failure.

    Args:
      step: full label of the step that gave the failures.
      coder: coder of the elements that it refused, where known.
      redaction: what of the elements may be kept; None for all.
    """

    def __init__(self, step: str, coder: Coder | None, redaction: Redaction | None = None) -> None:
        self._step = step
        self._redaction = redaction
        self._coder = coder
        self._coder_name = coder_name(coder) if coder is not None else ""

    def process(self, failure: Any) -> Iterable[Refusal]:
        """Gives the refusal."""
        if _is_beams(failure):
            element, (kind, text, lines) = failure
            yield self._refusal(element, class_name(kind), _message_of(text), "".join(lines))
        elif type(failure).__module__.startswith("asgarde.") and hasattr(failure, "exception_type"):
            kind, message = failure.exception_type, failure.exception_message or ""
            yield self._refusal(
                failure.input_element, kind, message, failure.stack_trace, failure.pipeline_step
            )
        else:
            text = f"{self._step} reported a bad record without saying more"
            yield self._refusal(failure, "UnknownFailure", text, "")

    def _refusal(self, element: Any, kind: str, message: str, trace: str, step: str | None = None) -> Refusal:
        where = fingerprint(kind, step or self._step, message_shape(message), _function_that_failed(trace))
        described = Failure(kind, message, trace, where)
        return refuse_failure(element, described, self._coder, self._coder_name, self._redaction, step)


def refused_coder(failures: Any) -> Coder | None:
    """Returns the coder of the elements that Beam's failures are about, where their type says."""
    kind = failures.element_type
    parts: tuple[Any, ...] = getattr(kind, "tuple_types", ())
    if len(parts) != 2 or parts[0] in (None, typehints.Any):
        return None
    coder: Coder = registry.get_coder(parts[0])
    return coder


def step_of(failures: Any) -> str:
    """Returns the full label of the step that gives `failures`: the one being applied, or the outermost
    that has them as an output."""
    applying = failures.pipeline._current_transform()
    if applying.full_label:
        return str(applying.full_label)
    applied = failures.producer
    while applied.parent is not None and failures in applied.parent.outputs.values():
        applied = applied.parent
    return str(applied.full_label)


def _is_beams(failure: Any) -> bool:
    return (
        isinstance(failure, tuple)
        and len(failure) == 2
        and isinstance(failure[1], tuple)
        and len(failure[1]) == 3
        and isinstance(failure[1][0], type)
    )


def _class_name(kind: type) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _message_of(text: str) -> str:
    """The message in an exception's repr, ``ValueError('no number')``, as `str` would give it."""
    inside = re.fullmatch(r"[\w.]+\((.*)\)", text, re.DOTALL)
    if inside is None:
        return text
    quoted = re.fullmatch(r"(['\"])(.*)\1,?", inside[1], re.DOTALL)
    return quoted[2].replace("\\'", "'").replace('\\"', '"') if quoted else inside[1]


def _function_that_failed(trace: str) -> str:
    """Returns the innermost of the user's functions, where it is not the step's own; else nothing."""
    names = [
        found["function"]
        for found in _FRAME.finditer(trace)
        if found["function"][:1] != "<" and not any(name in found["file"] for name in _NOT_THE_USERS)
    ]
    return names[-1] if names and names[-1] != names[0] else ""
