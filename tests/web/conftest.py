"""A server of pages in this process, and a real browser that looks at them."""

from __future__ import annotations

import contextlib
import http.client
import os
import pathlib
import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
import uvicorn

from beam_obs.store.store import Store
from beam_obs.web.application import application
from tests.engines.object_stores import free_port
from tests.shared_runs import made_once
from tests.web.install_browser import COMMAND, browser_path
from tests.web.stored_pipelines import run_pipelines

ARGUMENTS = [
    "--no-sandbox",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
]


class Answer(NamedTuple):
    """What a server answered."""

    status: int
    headers: dict[str, str]
    text: str


class Served(NamedTuple):
    """A server of pages.

    Args:
      port: it listens on, on 127.0.0.1.
      folder: working folder of the runs; the store is `store` in it.
    """

    port: int
    folder: pathlib.Path

    @property
    def address(self) -> str:
        """Its address, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def store(self) -> Store:
        """The store that it shows."""
        return Store(self.folder / "store")

    def get(self, path: str, method: str = "GET", body: str | None = None, **headers: str) -> Answer:
        """Asks for a page; names of headers have underscores."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            connection.request(
                method, path, body, {name.replace("_", "-"): text for name, text in headers.items()}
            )
            answer = connection.getresponse()
            told = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, told, answer.read().decode())

    def post(self, path: str, form: str, **headers: str) -> Answer:
        """Sends a form."""
        kind = "application/x-www-form-urlencoded"
        return self.get(path, "POST", form, content_type=kind, **headers)


@contextlib.contextmanager
def serving(folder: pathlib.Path, **given: Any) -> Iterator[Served]:
    """Serves the store in a folder, in a thread.

    Args:
      folder: working folder of the runs.
      given: more arguments of `application`; by default the files in the folder may be shown.
    """
    given.setdefault("sources", [str(folder)])
    port = free_port()
    made = application(Store(folder / "store", must_exist=True), **given)
    server = uvicorn.Server(uvicorn.Config(made, port=port, log_level="warning", ws="none"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
    try:
        yield Served(port, folder)
    finally:
        server.should_exit = True
        thread.join(10)


@pytest.fixture(scope="session")
def runs_folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A working folder with a store of several pipelines; tests only read it."""
    return made_once(tmp_path_factory, "stored-pipelines", run_pipelines)


@pytest.fixture(scope="session")
def served(runs_folder: pathlib.Path) -> Iterator[Served]:
    """A server of these runs."""
    with serving(runs_folder) as found:
        yield found


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A real browser, of which nothing was downloaded."""
    path = browser_path()
    if path is None:
        pytest.skip(f"Chromium is not installed: {COMMAND}")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield started
        started.close()


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """Opens a page; fails the test at its end on an error in the console or a request to another host."""
    faults: list[str] = []
    with contextlib.ExitStack() as opened:

        def open_one(address: str, width: int = 1280, height: int = 900, scheme: str = "light") -> Any:
            context = browser.new_context(
                viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce"
            )
            opened.callback(context.close)
            page = context.new_page()
            page.on("console", lambda told: faults.append(told.text) if told.type == "error" else None)
            page.on("pageerror", lambda error: faults.append(str(error)))
            page.on(
                "request", lambda asked: None if _is_ours(asked.url, address) else faults.append(asked.url)
            )
            page.goto(address)
            return page

        yield open_one
    assert faults == []


def _is_ours(url: str, address: str) -> bool:
    return url.startswith(("/".join(address.split("/")[:3]), "data:"))


os.environ.setdefault("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1")
