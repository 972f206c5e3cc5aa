"""The page of an address, made without a server."""

from __future__ import annotations

import re
import urllib.parse

from beam_obs.lineage.readable_files import ReadableFiles
from beam_obs.web.application import PAGES, Asked, Maker, page_of
from beam_obs.web.links import Links
from beam_obs.web.page import Elsewhere, Page
from beam_obs.web.stored_runs import StoredRuns

_PARAMETER = re.compile(r"\{(\w+)(?::\w+)?\}")


def is_address(address: str) -> bool:
    """Whether there are pages with addresses of this form, on a server at the root.

    >>> is_address("/runs/01a2"), is_address("/nowhere")
    (True, False)
    """
    return _maker_of(address) is not None


def addressed_page(runs: StoredRuns, address: str, files: ReadableFiles) -> Page:
    """Returns the page of an address; one that says why where it cannot be made.

    Args:
      runs: the store's runs.
      address: on a server at the root, of a form that there is.
      files: sources and outputs that may be shown.
    """
    found = _maker_of(address)
    assert found is not None
    make, path = found
    query = dict(urllib.parse.parse_qsl(address.partition("?")[2]))
    page = page_of(make, Asked(runs, path, query, files))
    return addressed_page(runs, page.address(Links()), files) if isinstance(page, Elsewhere) else page


def _maker_of(address: str) -> tuple[Maker, dict[str, str]] | None:
    path = address.partition("?")[0]
    for pattern, make in _MAKERS:
        if found := pattern.fullmatch(path):
            return make, {name: urllib.parse.unquote(text) for name, text in found.groupdict().items()}
    return None


def _pattern(path: str) -> re.Pattern[str]:
    """Returns what the addresses of a path look like.

    >>> _pattern("/runs/{run}/step").fullmatch("/runs/01a2/step").groupdict()
    {'run': '01a2'}
    """
    parts = [
        re.escape(part) if at % 2 == 0 else f"(?P<{part}>[^/]+)"
        for at, part in enumerate(_PARAMETER.split(path))
    ]
    return re.compile("".join(parts))


_MAKERS = [(_pattern(path), make) for path, make in PAGES]
