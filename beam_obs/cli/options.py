"""Options that several commands share."""

from __future__ import annotations

import shlex

import click

from beam_obs.runs.store import DEFAULT_STORE, STORE_VARIABLE, Store


def _store(context: click.Context, parameter: click.Parameter, value: str | None) -> Store:
    return Store(value)


store_option = click.option(
    "--store",
    callback=_store,
    metavar="FOLDER",
    help=f"Folder of the store, on any filesystem of Beam (default: {STORE_VARIABLE}, else {DEFAULT_STORE}).",
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a line.")


def store_argument(store: Store) -> str:
    """Returns ` --store FOLDER`, as a command needs it to find the store again; nothing for the default."""
    return "" if store.is_default else f" --store {shlex.quote(store.shown_uri)}"
