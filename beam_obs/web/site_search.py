"""What can be searched for in pages that are written out: pipelines, runs, kinds of refusal, and files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from beam_obs.records.number_text import counted
from beam_obs.records.run_id import SHORT_ID
from beam_obs.records.wording import clean
from beam_obs.store.run_record import RunRecord
from beam_obs.web.links import Links
from beam_obs.web.rendering import moment

_FILES_OF_RUN = 200


class SearchEntry(NamedTuple):
    """Something that can be found.

    Args:
      kind: what it is, for people.
      text: that is searched and shown.
      detail: as well.
      address: of its page, on a server at the root.
    """

    kind: str
    text: str
    detail: str
    address: str


def search_entries(runs: Sequence[RunRecord], refused: Mapping[str, Mapping[str, Any]]) -> list[SearchEntry]:
    """Returns what can be found.

    Args:
      runs: the runs that are written, newest first.
      refused: id of a run -> its dead letters, as its end has them.
    """
    found: dict[tuple[str, str], SearchEntry] = {}
    for entry in _each(runs, refused):
        found.setdefault((entry.kind, entry.text), entry)  # of the same in several runs the newest
    return list(found.values())


def _each(runs: Sequence[RunRecord], refused: Mapping[str, Mapping[str, Any]]) -> Iterator[SearchEntry]:
    links = Links()
    of_pipeline: dict[str, int] = {}
    for run in runs:
        of_pipeline[run.pipeline] = of_pipeline.get(run.pipeline, 0) + 1
    for name, count in of_pipeline.items():
        yield SearchEntry("pipeline", clean(name), counted(count, "run"), links.pipeline(name))
    for run in runs:
        told = f"{run.pipeline}, {run.status_text}, {moment(run.start['started'])}"
        yield SearchEntry("run", run.id, clean(told), links.run(run.id))
    for run in runs:
        in_run = f"in {run.pipeline} {run.id[:SHORT_ID]}"
        for kind in (refused.get(run.id) or {}).get("by_fingerprint") or ():
            text = clean(f"{kind['error_type']}: {kind['error_message']}")
            told = clean(f"{kind['fingerprint']}, {kind['count']:,} by {kind['stage']} {in_run}")
            address = links.dead_letters(run.id, kind["stage"], kind["fingerprint"])
            yield SearchEntry("kind of refusal", text, told, address)
        for what, name in (("input", "inputs"), ("output", "outputs")):
            for uri in _uris(run.last_known.get(name) or ()):
                yield SearchEntry(what, clean(uri), clean(in_run), links.run(run.id))


def _uris(datasets: Sequence[dict[str, Any]]) -> list[str]:
    uris = [one.get("uri") for dataset in datasets for one in (dataset, *(dataset.get("files") or ()))]
    return list(dict.fromkeys(uri for uri in uris if uri))[:_FILES_OF_RUN]


def search_files(
    entries: Sequence[SearchEntry], name_of: Callable[[str], str]
) -> Iterator[tuple[str, bytes]]:
    """Gives the files of the index: JSON for programs, and the same as a script, since a page that is opened
    from a disk may load no JSON.

    Args:
      entries: what can be found.
      name_of: gives the name of the file of an address.
    """
    rows = [[*entry[:3], name_of(entry.address)] for entry in entries]
    told = json.dumps({"columns": ["kind", "text", "detail", "page"], "rows": rows})
    yield "search.json", told.encode()
    yield "static/search_data.js", f'"use strict";\nglobalThis.beamObsSearch = {told};\n'.encode()
