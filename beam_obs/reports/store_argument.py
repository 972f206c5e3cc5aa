"""How a command that is shown finds the store that it is about."""

from __future__ import annotations

import shlex

from beam_obs.store.store import Store


def store_argument(store: Store) -> str:
    """Returns ` --store FOLDER`, as a command needs it to find the store again; nothing for the default."""
    return "" if store.is_default else f" --store {shlex.quote(store.shown_uri)}"
