"""Serves the pages until it is interrupted."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping, Sequence

from beam_obs.exporters.listening import listen
from beam_obs.store.schedule import Schedule
from beam_obs.store.store import Store
from beam_obs.web.rendering import compile_templates
from beam_obs.web.web_extra import web_extra

LOOPBACK = ("127.0.0.1", "::1", "localhost")


def serve(
    store: Store,
    host: str,
    port: int,
    allowed_hosts: Sequence[str] = (),
    base: str = "",
    token: str | None = None,
    sources: Sequence[str] | None = None,
    schedules: Mapping[str, Schedule] | None = None,
    announce: Callable[[str, str | None], None] = lambda address, token: None,
) -> None:
    """Serves the pages of a store until it is interrupted.

    Args:
      store: whose runs are shown.
      host: name or address to listen on.
      port: to listen on; 0 for any that is free.
      allowed_hosts: more names that it may be called by.
      base: path that all pages are below, behind a proxy.
      token: that requests must bear; where it is None and `host` is not loopback, one is made.
      sources: folders and prefixes of objects whose files may be shown; by default the working folder where
        `host` is loopback, else none.
      schedules: when runs are to start, by name of the pipeline.
      announce: is called with the address and the token, once requests are taken.

    Raises:
      AddressNotFree: host and port cannot be listened on.
      MissingExtra: the ``web`` extra is not installed.
    """
    with web_extra():
        import uvicorn

        from beam_obs.web.application import application
    if token is None and host not in LOOPBACK:
        token = secrets.token_urlsafe(24)
    hosts = {*allowed_hosts, *LOOPBACK, host}
    listening = listen(host, port)
    compile_templates()  # or the first who asks for each page waits for it
    shown = f"[{host}]" if ":" in host else host
    announce(f"http://{shown}:{listening.getsockname()[1]}{base}/", token)
    settings = uvicorn.Config(
        application(store, hosts, token, base, _shown_sources(host, sources), schedules),
        log_level="warning",
        access_log=False,
        server_header=False,
        lifespan="off",  # of which there is nothing, but a traceback where it is interrupted twice
    )
    with listening:
        uvicorn.Server(settings).run(sockets=[listening])


def _shown_sources(host: str, sources: Sequence[str] | None) -> Sequence[str]:
    if sources is not None:
        return sources
    return [os.getcwd()] if host in LOOPBACK else []
