"""The application that answers requests: a path leads to a page, which is made in a thread of its own."""

from __future__ import annotations

import dataclasses
import logging
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Mount, Route, Router
from starlette.staticfiles import StaticFiles

from beam_obs.exporters.prometheus_text import OPENMETRICS, content_type, prometheus_text
from beam_obs.exporters.stored_numbers import StoredNumbers
from beam_obs.lineage.readable_files import ReadableFiles
from beam_obs.records.errors import BeamObsError
from beam_obs.store.schedule import Schedule
from beam_obs.store.store import RunNotFound, Store
from beam_obs.store.unknown_name import UnknownName
from beam_obs.web.links import Links
from beam_obs.web.page import Elsewhere, NotThere, Page
from beam_obs.web.pages.dead_letter_page import dead_letter_page
from beam_obs.web.pages.dead_letters_page import dead_letters_page
from beam_obs.web.pages.difference_page import chosen_difference, difference_page
from beam_obs.web.pages.history_page import USUAL_SIZE, history_page
from beam_obs.web.pages.kinds_page import kinds_page
from beam_obs.web.pages.pipelines_page import pipelines_page
from beam_obs.web.pages.record_page import record_at_page, record_page
from beam_obs.web.pages.run_page import run_page
from beam_obs.web.pages.search_page import search_page
from beam_obs.web.pages.step_page import step_page
from beam_obs.web.protection import Protection
from beam_obs.web.rendering import render
from beam_obs.web.runs_lines import NoLimit, runs_lines
from beam_obs.web.stored_runs import StoredRuns

_LOGGER = logging.getLogger(__name__)

STATIC = Path(__file__).parent / "static"

LOCAL_SECONDS, REMOTE_SECONDS = 0.15, 1.0
"""For so long runs are read for one page that asks again by itself."""

METRICS_SECONDS = 5.0
"""For so long numbers are good for another scrape."""

Maker = Callable[["Asked"], "Page | Elsewhere"]


@dataclasses.dataclass(frozen=True)
class Asked:
    """What a page is made from.

    Args:
      runs: the store's runs.
      path: parameters in the path, by name.
      query: parameters behind it; of several of a name the last.
      files: sources and outputs that may be shown; by default none.
    """

    runs: StoredRuns
    path: dict[str, str]
    query: dict[str, str]
    files: ReadableFiles = dataclasses.field(default_factory=ReadableFiles)

    def number(self, name: str, otherwise: int) -> int:
        """Returns a number that was asked for; where it is none, another."""
        text = self.query.get(name, "")
        return int(text) if re.fullmatch("[0-9]{1,9}", text) else otherwise

    @property
    def store(self) -> Store:
        """The store."""
        return self.runs.store


PAGES: Sequence[tuple[str, Maker]] = (
    ("/", lambda asked: pipelines_page(asked.runs, asked.query.get("seen"))),
    (
        "/pipelines/{name}",
        lambda asked: history_page(
            asked.runs,
            asked.path["name"],
            asked.query.get("step") or None,
            asked.number("runs", USUAL_SIZE),
            asked.number("page", 1),
            asked.query.get("seen"),
        ),
    ),
    ("/pipelines/{name}/kinds", lambda asked: kinds_page(asked.runs, asked.path["name"])),
    (
        "/differences",
        lambda asked: chosen_difference(asked.query.get("before"), asked.query.get("after")),
    ),
    (
        "/differences/{before}/{after}",
        lambda asked: difference_page(asked.runs, asked.path["before"], asked.path["after"]),
    ),
    ("/search", lambda asked: search_page(asked.runs, asked.query.get("q", ""))),
    ("/runs/{run}", lambda asked: run_page(asked.runs, asked.path["run"])),
    ("/runs/{run}/step", lambda asked: step_page(asked.runs, asked.path["run"], asked.query.get("label"))),
    ("/runs/{run}/dead-letters", lambda asked: dead_letters_page(asked.runs, asked.path["run"], asked.query)),
    ("/dead-letters/{id}", lambda asked: dead_letter_page(asked.runs, asked.path["id"], asked.files)),
    ("/records", lambda asked: record_at_page(asked.runs, asked.query, asked.files)),
    (
        "/records/{origin}",
        lambda asked: record_page(asked.runs, asked.path["origin"], asked.query, asked.files),
    ),
)
"""Path -> what makes its page."""


def application(
    store: Store,
    hosts: Collection[str] = ("localhost", "127.0.0.1", "::1"),
    token: str | None = None,
    base: str = "",
    sources: Sequence[str] = (),
    schedules: Mapping[str, Schedule] | None = None,
) -> Starlette:
    """Returns the application.

    Args:
      store: whose runs are shown.
      hosts: names that it may be called by.
      token: that requests must bear; None where none is needed.
      base: path that all pages are below, behind a proxy; without a slash at its end.
      sources: folders and prefixes of objects whose files may be shown.
      schedules: when runs are to start, by name of the pipeline.
    """
    runs = StoredRuns(store, LOCAL_SECONDS if store.local else REMOTE_SECONDS, schedules)
    files = ReadableFiles(sources)
    links = Links(base)

    def answer(make: Maker) -> Callable[[Request], Any]:
        def respond(asked: Asked) -> Response:
            page = page_of(make, asked)
            if isinstance(page, Elsewhere):
                return RedirectResponse(page.address(links), 303)
            if page.status == 204:  # what is shown is as it was
                return Response(status_code=204)
            shared = {"store": store.shown_uri}
            return HTMLResponse(render(page, links, shared), page.status, {"cache-control": "no-store"})

        def respond_always(asked: Asked) -> Response:
            try:
                return respond(asked)
            except HTTPException:
                raise
            except Exception:  # a mistake of ours: it is told with the headers that every answer has
                _LOGGER.exception("a page could not be made")
                told = (
                    "This page could not be made. That is a mistake of beam_obs; its server says more of it."
                )
                page = _problem(500, told)
                return HTMLResponse(render(page, links, {"store": store.shown_uri}), page.status)

        async def endpoint(request: Request) -> Response:
            asked = Asked(runs, dict(request.path_params), dict(request.query_params), files)
            return await run_in_threadpool(respond_always, asked)

        return endpoint

    async def not_found(request: Request, error: Exception) -> Response:
        page = _problem(404, "There is no such page.")
        return HTMLResponse(render(page, links, {"store": store.shown_uri}), page.status)

    async def health(request: Request) -> Response:
        return PlainTextResponse("ok\n", headers={"cache-control": "no-store"})

    def runs_as_lines(request: Request) -> Response:
        try:
            lines = "".join(runs_lines(runs, dict(request.query_params)))
        except (RunNotFound, UnknownName) as error:
            return PlainTextResponse(f"{error}\n", 404)
        except NoLimit as error:
            return PlainTextResponse(f"{error}\n", 400)
        except (BeamObsError, OSError) as error:
            return PlainTextResponse(f"{error}\n", 500)
        return PlainTextResponse(
            lines, headers={"cache-control": "no-store"}, media_type="application/x-ndjson"
        )

    numbers = StoredNumbers(store, schedules)

    def metrics(request: Request) -> Response:
        openmetrics = OPENMETRICS in request.headers.get("accept", "")
        try:
            numbers.look(no_older_than=METRICS_SECONDS)
        except (BeamObsError, OSError) as error:
            return PlainTextResponse(f"{error}\n", 503)
        return StreamingResponse(
            prometheus_text(numbers.all(), openmetrics),
            headers={"content-type": content_type(openmetrics), "cache-control": "no-store"},
        )

    routes: list[BaseRoute] = [Route(path, answer(make)) for path, make in PAGES]
    routes.append(Route("/healthz", health))
    routes.append(Route("/api/runs", runs_as_lines))
    routes.append(Route("/metrics", metrics))
    routes.append(Mount("/static", StaticFiles(directory=STATIC)))
    if base:
        routes = [
            Route(base, lambda _: RedirectResponse(links.home(), 307)),
            Mount(base, Router(routes, redirect_slashes=False)),
        ]
    made = Starlette(
        routes=routes,
        middleware=[
            Middleware(Protection, hosts=hosts, token=token, base=base),
            Middleware(GZipMiddleware, minimum_size=4_000, compresslevel=4),
        ],
        exception_handlers={404: not_found},
    )
    made.router.redirect_slashes = False  # by a whole address, which a proxy that speaks TLS knows as another
    return made


def page_of(make: Maker, asked: Asked) -> Page | Elsewhere:
    """Returns a page; one that says why where there is none, or it cannot be read."""
    try:
        return make(asked)
    except (NotThere, RunNotFound, UnknownName) as error:
        return _problem(404, str(error))
    except HTTPException:
        raise
    except (BeamObsError, OSError) as error:
        return _problem(500, str(error))


def _problem(status: int, message: str) -> Page:
    title = "Not there" if status == 404 else "This could not be read"
    return Page("problem.html", title, {"message": message}, status)
