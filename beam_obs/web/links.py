"""Addresses of pages, in one place: below a path of a server, or as files beside each other."""

from __future__ import annotations

import dataclasses
import urllib.parse
from typing import Any, ClassVar

_AS_IT_IS = "surrogatepass"
"""A store may have text that no encoding has; an address of it leads to a page that says so."""


@dataclasses.dataclass(frozen=True)
class Links:
    """Addresses on a server.

    Args:
      base: path that all pages are below, without a slash at its end; empty for the root.
      has_search: whether there is a page of search.

    >>> Links("/obs").run("01a2")
    '/obs/runs/01a2'
    >>> Links().search("a b")
    '/search?q=a+b'
    """

    base: str = ""
    has_search: bool = True
    is_served: ClassVar[bool] = True
    """Whether a server answers: pages can be asked for again, and for what they have not."""

    def home(self) -> str:
        """Returns the address of the list of pipelines."""
        return self._at("/")

    def pipeline(
        self, name: str, step: str | None = None, runs: int | None = None, page: int | None = None
    ) -> str:
        """Returns the address of the history of a pipeline, or of a step of it; so many runs on a page."""
        return self._at(f"/pipelines/{_quoted(name)}", step=step, runs=runs, page=page)

    def kinds(self, pipeline: str) -> str:
        """Returns the address of a pipeline's kinds of refusal over its runs."""
        return self._at(f"/pipelines/{_quoted(pipeline)}/kinds")

    def run(self, id: str) -> str:
        """Returns the address of a run."""
        return self._at(f"/runs/{_quoted(id)}")

    def step(self, run: str, label: str) -> str:
        """Returns the address of a step of a run."""
        return self._at(f"/runs/{_quoted(run)}/step", label=label)

    def dead_letters(
        self,
        run: str,
        stage: str | None = None,
        fingerprint: str | None = None,
        text: str | None = None,
        page: int | None = None,
    ) -> str:
        """Returns the address of a run's dead letters; of those of a stage, of a kind, or with a text.

        Args:
          run: which.
          stage: label of a stage, or of what stages are in.
          fingerprint: of a kind, or its beginning.
          text: that the records have in them.
          page: row that they are looked for from, as the page before tells it.
        """
        given = {"stage": stage or None, "fingerprint": fingerprint or None, "text": text or None}
        given["page"] = str(page) if page else None
        return self._at(f"/runs/{_quoted(run)}/dead-letters", **given)

    def dead_letter(self, id: str) -> str:
        """Returns the address of a dead letter."""
        return self._at(f"/dead-letters/{_quoted(id)}")

    def record(self, origin: str, run: str | None = None, first: int | None = None) -> str:
        """Returns the address of what an origin, 32 hex digits, was made of and became.

        Args:
          origin: of the record.
          run: which; None for the newest that knows it.
          first: the contributor that is shown first, from 0.
        """
        return self._at(f"/records/{_quoted(origin)}", run=run, first=first or None)

    def record_at(self, place: str | None = None, run: str | None = None) -> str:
        """Returns the address of a record by its place in an output or a source, ``FILE:N``; of the form that
        asks for one where there is none."""
        return self._at("/records", at=place, run=run)

    def difference(self, earlier: str, later: str) -> str:
        """Returns the address of the difference of two runs."""
        return self._at(f"/differences/{_quoted(earlier)}/{_quoted(later)}")

    def chosen_difference(self) -> str:
        """Returns the address that a form sends two runs to, as ``before`` and ``after``."""
        return self._at("/differences")

    def search(self, text: str | None = None) -> str:
        """Returns the address of a search."""
        return self._at("/search", q=text)

    def static(self, name: str) -> str:
        """Returns the address of a file of style or script."""
        return self._at(f"/static/{name}")

    def _at(self, path: str, **parameters: Any) -> str:
        given = {name: value for name, value in parameters.items() if value is not None}
        query = f"?{urllib.parse.urlencode(given, errors=_AS_IT_IS)}" if given else ""
        return f"{self.base}{path}{query}"


def _quoted(text: str) -> str:
    return urllib.parse.quote(text, safe="", errors=_AS_IT_IS)
