"""`beam-obs serve`: pages over a store."""

from __future__ import annotations

import threading
import webbrowser

import click

from beam_obs.cli.shared_options import sources_option, store_option
from beam_obs.store.configuration import usable_schedules
from beam_obs.store.store import Store

_PORT = 8099


@click.command()
@store_option
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Name or address to listen on. Beyond this machine, a token is needed.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=_PORT,
    show_default=True,
    help="Port to listen on; 0: any that is free.",
)
@click.option(
    "--base-path",
    default="",
    metavar="PATH",
    help="Path that all pages are below, behind a proxy: /beam-obs.",
)
@click.option(
    "--allowed-host",
    "allowed_hosts",
    multiple=True,
    metavar="NAME",
    help="Another name that a proxy or browser calls this server by; may be given several times.",
)
@click.option(
    "--token",
    envvar="BEAM_OBS_TOKEN",
    metavar="TEXT",
    help="Token that requests must bear, as header or cookie (variable: BEAM_OBS_TOKEN; default beyond this "
    "machine: a new one).",
)
@sources_option("the working folder; beyond this machine none")
@click.option("--open", "opens", is_flag=True, help="Open the first page in a browser.")
def serve(
    store: Store,
    host: str,
    port: int,
    base_path: str,
    allowed_hosts: tuple[str, ...],
    token: str | None,
    sources: tuple[str, ...],
    opens: bool,
) -> None:
    """Serve pages over a store, until interrupted."""
    from beam_obs.web.serving import serve as serve_pages

    base = base_path.rstrip("/")
    if base and not base.startswith("/"):
        raise click.UsageError(f"--base-path {base_path}: begin it with a slash, as /beam-obs")
    schedules = usable_schedules()
    store.ids()  # says that there is no store before a port is taken

    def announce(address: str, token: str | None) -> None:
        click.echo(f"{store.shown_uri} on {address}  (Ctrl-C ends it)")
        if token is not None:
            click.echo(f"token: {token}")
        if opens:  # in a thread: some browsers keep who opens them until they are closed
            threading.Thread(target=webbrowser.open, args=[address], daemon=True).start()

    serve_pages(store, host, port, allowed_hosts, base, token, sources or None, schedules, announce)
