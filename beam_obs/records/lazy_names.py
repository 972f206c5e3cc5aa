"""Public names of a package that are imported on first use, so that reading a store never waits for Beam.

Each name is written once, in the stub beside the package's `__init__.py`: type checkers read it there, and so
does Python.
"""

from __future__ import annotations

import importlib
import os
from typing import Any


class LazyNames:
    """The names that ``__init__.pyi`` imports.

    Args:
      namespace: globals of the package, where a name stays once it was imported.
    """

    def __init__(self, namespace: dict[str, Any]) -> None:
        self._namespace = namespace
        self._homes = _homes(namespace["__spec__"])
        self.all = sorted(self._homes)
        """The names, as ``__all__`` has them."""

    def find(self, name: str) -> Any:
        """Returns what a name stands for; a module's ``__getattr__``.

        Raises:
          AttributeError: it is none of them.
        """
        home = self._homes.get(name)
        if home is None:
            raise AttributeError(f"module {self._namespace['__name__']!r} has no attribute {name!r}")
        value = self._namespace[name] = getattr(importlib.import_module(home), name)
        return value


def _homes(spec: Any) -> dict[str, str]:
    """Returns the module of each name that a package's stub imports ``as`` itself."""
    # A loader also reads what is in an archive.
    stub = spec.loader.get_data(os.path.join(os.path.dirname(spec.origin), "__init__.pyi")).decode()
    homes: dict[str, str] = {}
    home = ""
    for line in stub.splitlines():
        words = line.rstrip(",").split()
        if words[:1] == ["from"]:
            home = words[1]
        if words[-2:-1] == ["as"]:
            homes[words[-1]] = home
    return homes
