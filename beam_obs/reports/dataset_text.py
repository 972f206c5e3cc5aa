"""Datasets of a run, in words."""

from __future__ import annotations

import collections
import posixpath
from collections.abc import Mapping, Sequence
from typing import Any

from beam_obs.records.wording import clean


def shown_places(datasets: Sequence[Mapping[str, Any]]) -> list[str]:
    """Returns where each dataset is; those of one place with the ending that their files have.

    Args:
      datasets: inputs or outputs of a run, folded.

    >>> files = [[{"uri": "out-0.avro"}], [{"uri": "out-0.jsonl"}]]
    >>> shown_places([{"uri": "out", "files": of_one} for of_one in files])
    ['out*.avro', 'out*.jsonl']
    """
    number = collections.Counter(dataset.get("uri") for dataset in datasets)
    shown = []
    for dataset in datasets:
        ending = _ending(dataset.get("files") or []) if number[dataset.get("uri")] > 1 else ""
        shown.append(clean(f"{dataset.get('uri') or ''}{ending and '*'}{ending}"))
    return shown


def _ending(files: Sequence[Mapping[str, Any]]) -> str:
    """Returns the ending that all files have, e.g. ``.avro``: what tells sinks of one prefix apart."""
    endings = {posixpath.splitext(file["uri"])[1] for file in files}
    return endings.pop() if len(endings) == 1 else ""
