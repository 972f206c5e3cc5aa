"""`beam-obs config`: which settings hold here, and where each comes from."""

from __future__ import annotations

import json
import os
from typing import Any

import click

from beam_obs.cli.shared_options import json_option
from beam_obs.records.wording import clean
from beam_obs.reports.telling import tell
from beam_obs.store.configuration import FILE, find_configuration
from beam_obs.store.secrets import redact
from beam_obs.store.store import STORE_VARIABLE, Store


@click.command()
@json_option
def config(as_json: bool) -> None:
    """Print the settings that hold in this folder, and where each comes from.

    They stand in beam_obs.toml, or under [tool.beam_obs] of pyproject.toml, of this folder or one above it:
    store, shared (true where all workers see the store's folder), and a table `filesystem` of options.
    """
    found = find_configuration()
    in_file = found.path or ""
    if os.environ.get(STORE_VARIABLE):
        origin = f"variable {STORE_VARIABLE}"
    else:
        origin = in_file if found.store else "default"
    told: list[tuple[str, Any, str]] = [
        ("store", Store().uri, origin),
        ("shared", found.shared, in_file if found.shared else "default"),
        *((f"filesystem.{name}", value, in_file) for name, value in redact(dict(found.filesystem)).items()),
    ]
    if as_json:
        for name, value, source in told:
            click.echo(json.dumps({"setting": name, "value": value, "from": source}))
        return
    if not in_file:
        tell(f"no {FILE} here or above")
    width = max(len(name) for name, _, _ in told)
    for name, value, source in told:
        shown = str(value).lower() if isinstance(value, bool) else clean(str(value))
        tell(f"{name:{width}}  {shown}  ({clean(source)})")
