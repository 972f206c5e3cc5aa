"""Options that several commands share."""

from __future__ import annotations

from typing import Any

import click

from beam_obs.runs.store import DEFAULT_STORE, STORE_VARIABLE, Store


class _StoreType(click.ParamType):
    name = "folder"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Store:
        return value if isinstance(value, Store) else Store(str(value))


store_option = click.option(
    "--store",
    type=_StoreType(),
    default=lambda: Store(),
    show_default=f"{STORE_VARIABLE}, else {DEFAULT_STORE}",
    metavar="FOLDER",
    help="Folder of the store, on any filesystem Beam knows.",
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a line.")

RUN_HELP = "RUN is an id, the beginning of one, `latest`, or `PIPELINE@latest`."
