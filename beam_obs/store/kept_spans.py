"""The spans that a run has kept in its folder: files of OTLP JSON that its workers wrote."""

from __future__ import annotations

from typing import NamedTuple

from beam_obs.records.span_rows import SpanRow, spans_of_file
from beam_obs.store.store import Store

_TOGETHER = 8
_MOST_BYTES = 1 << 26
"""Of a file that is read: workers end one after some megabytes."""


class KeptSpans(NamedTuple):
    """Spans of a run.

    Args:
      spans: those that were asked for.
      files: how many files of spans the run has.
      problems: what cannot be read, each as a sentence.
    """

    spans: tuple[SpanRow, ...]
    files: int
    problems: tuple[str, ...]


def kept_spans(store: Store, folder: str, text: str) -> KeptSpans:
    """Returns the spans of the files in which a text is: an origin, or the id of a trace.

    Args:
      store: where the run is kept.
      folder: of the run, relative to the store.
      text: hex digits; files without them are not taken apart.
    """
    names = [
        name for name in store.files.names(folder) if name.startswith("traces-") and name.endswith(".jsonl")
    ]
    wanted = text.encode()
    found: list[SpanRow] = []
    problems: list[str] = []
    for start in range(0, len(names), _TOGETHER):
        some = names[start : start + _TOGETHER]
        for name, looked in zip(some, store.files.look([f"{folder}/{one}" for one in some]), strict=True):
            if looked.content is None or len(looked.content) > _MOST_BYTES:
                reason = looked.problem or "it is larger than any that is written"
                problems.append(f"{name} cannot be read: {reason}")
            elif wanted in looked.content:
                spans, unread = spans_of_file(looked.content)
                found += spans
                if unread:
                    problems.append(f"{name} is damaged: {unread} of its lines or spans cannot be read")
    return KeptSpans(tuple(found), len(names), tuple(problems))
