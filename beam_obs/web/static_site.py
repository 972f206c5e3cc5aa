"""Pages of a store as files that lead to each other, for a bucket, an archive or a folder of a disk."""

from __future__ import annotations

import collections
from collections.abc import Iterator, Sequence

from beam_obs.lineage.readable_files import ReadableFiles
from beam_obs.records.number_text import counted
from beam_obs.store.run_record import now_text
from beam_obs.store.store import Store
from beam_obs.web.addressed_page import addressed_page, is_address
from beam_obs.web.application import STATIC
from beam_obs.web.file_links import FileLinks, file_name, published_name, relative, with_policy
from beam_obs.web.links import Links
from beam_obs.web.page import Page
from beam_obs.web.rendering import moment, render
from beam_obs.web.site_extent import SiteExtent, StoreOfOne
from beam_obs.web.site_folder import SiteFolder
from beam_obs.web.site_search import search_entries, search_files
from beam_obs.web.stored_runs import StoredRuns

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; form-action 'self'; "
    "base-uri 'none'"
)
"""What a browser is told in each page, whoever serves it; on a disk 'self' is what lies there."""

SEARCH = "search.html"
_ONLY_SERVED = ("vendor/htmx.min.js",)


def write_site(
    store: Store,
    output: str,
    pipeline: str | None = None,
    last: int | None = 30,
    letters_of_kind: int = 3,
    sources: Sequence[str] = (),
) -> int:
    """Writes the pages of a store to a folder; returns the number of files.

    Args:
      store: whose runs are shown.
      output: the folder, a path or a URI of a filesystem that Beam knows: new, empty, or a site that was
        written before, which is replaced.
      pipeline: the only one that is shown; None for all.
      last: so many runs of each pipeline, the newest; None for all.
      letters_of_kind: of each kind of refusal in each run so many dead letters have a page.
      sources: folders and prefixes of objects whose files may be shown; by default none.

    Raises:
      NotASite: the folder has something else.
      RunNotFound: there is no such pipeline.
    """
    if pipeline is not None:
        store.check_pipeline(pipeline)
        store = StoreOfOne(store, pipeline)
    return SiteFolder(output).write(_Site(store, last, letters_of_kind, sources).files())


class _Site:
    def __init__(self, store: Store, last: int | None, letters_of_kind: int, sources: Sequence[str]) -> None:
        self._runs = StoredRuns(store)
        self._files = ReadableFiles(sources)
        count: collections.Counter[str] = collections.Counter()
        ids = []
        for run, name in store.ids():
            if last is None or count[name] < last:
                ids.append((run, name))
            count[name] += 1
        self._extent = SiteExtent(store, self._runs.read(ids), letters_of_kind)
        self._shared = {
            "store": published_name(store),
            "copied": _copied_text(moment(now_text()), last, letters_of_kind),
            "letters_of_kind": letters_of_kind,
        }

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Gives names and contents; the page of all pipelines last."""
        for path in sorted(STATIC.rglob("*")):
            name = path.relative_to(STATIC).as_posix()
            if path.is_file() and name not in _ONLY_SERVED:
                yield f"static/{name}", path.read_bytes()
        entries = search_entries(self._extent.runs, self._extent.refused)
        yield from search_files([one for one in entries if self._is_written(one.address)], file_name)
        yield SEARCH, self._content(Page("site_search.html", "Search", {}), SEARCH, [])
        # Runs are found by search, too, where a page leads to the newest of them only.
        waiting = collections.deque(["/", *(Links().run(run.id) for run in self._extent.runs)])
        seen = set(waiting)
        home = b""
        while waiting:
            address = waiting.popleft()
            found: list[str] = []
            content = self._content(
                addressed_page(self._runs, address, self._files), file_name(address), found
            )
            if address == "/":
                home = content
            else:
                yield file_name(address), content
            new = [one for one in dict.fromkeys(found) if one not in seen]
            seen.update(new)
            waiting.extend(new)
        yield file_name("/"), home

    def _is_written(self, address: str) -> bool:
        return is_address(address) and self._extent.has(address)

    def _content(self, page: Page, name: str, found: list[str]) -> bytes:
        """Returns a page; adds the addresses of the pages that it leads to."""
        links = FileLinks()
        html = render(page, links, self._shared)

        def name_of(address: str) -> str | None:
            if address.startswith("/static/"):
                return relative(file_name(address), name)
            if address.partition("?")[0] == "/search":
                return relative(SEARCH, name)
            if not self._is_written(address):
                return None
            found.append(address)
            return relative(file_name(address), name)

        return with_policy(links.filled_in(html, name_of), POLICY).encode()


def _copied_text(at: str, last: int | None, letters_of_kind: int) -> str:
    runs = "all runs" if last is None else f"the newest {counted(last, 'run')}"
    letters = counted(letters_of_kind, "dead letter")
    return (
        f"written {at}: {runs} of each pipeline, and of each kind of refusal in a run {letters}; "
        "beam-obs serve shows all"
    )
