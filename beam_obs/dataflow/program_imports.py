"""Whether a program is observed at all: only then do options of ours do anything."""

from __future__ import annotations

import ast
import importlib.machinery
import importlib.util
import pathlib
from collections.abc import Iterator

_OURS = "beam_obs"


def imports_beam_obs(module: str) -> bool:
    """Returns whether a program imports beam_obs, by its source and that of what is its own.

    Args:
      module: its name; modules of its package, or beside it in its folder, are followed, installed ones are
        not. One without source is taken for one that does.

    >>> imports_beam_obs("pipelines.flights.batch"), imports_beam_obs("pipelines.flights.bare")
    (True, False)
    """
    if _source(module) is None:
        return True
    package, home = module.partition(".")[0], _home(module)
    seen, to_look_at = {module}, [module]
    while to_look_at:
        for name in _imported(to_look_at.pop()):
            if f"{name}.".startswith(f"{_OURS}."):
                return True
            is_own = name.partition(".")[0] == package or (home is not None and _home(name) == home)
            if is_own and name not in seen:
                seen.add(name)
                to_look_at.append(name)
    return False


def _imported(module: str) -> Iterator[str]:
    """Yields what a module imports, wherever in it; of `from a import b` both `a` and `a.b`."""
    path = _source(module)
    if path is None:
        return
    within = module if path.name == "__init__.py" else module.rpartition(".")[0]
    try:
        tree = ast.parse(path.read_bytes())
    except SyntaxError:  # of one that the program may never import
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = node.module or ""
            if node.level:
                start = importlib.util.resolve_name("." * node.level + start, within).rstrip(".")
            yield start
            yield from (f"{start}.{one.name}" for one in node.names)


def _home(module: str) -> pathlib.Path | None:
    """Returns the folder that a module or its package is in; None of what is installed, which is others'."""
    spec = _spec(module)
    place = next(iter(spec.submodule_search_locations or ()), spec.origin) if spec is not None else None
    if place is None:
        return None
    folder = pathlib.Path(place).parent
    return None if folder.name in ("site-packages", "dist-packages") else folder


def _source(module: str) -> pathlib.Path | None:
    """Returns the file of a module, which is not imported for it: the program may never do so."""
    spec, within = _spec(module), module.partition(".")[2]
    if spec is None:
        return None
    if not within:
        return pathlib.Path(spec.origin) if spec.origin and spec.origin.endswith(".py") else None
    for folder in spec.submodule_search_locations or ():
        path = pathlib.Path(folder, *within.split("."))
        for file in (path.with_name(f"{path.name}.py"), path / "__init__.py"):
            if file.is_file():
                return file
    return None


def _spec(module: str) -> importlib.machinery.ModuleSpec | None:
    try:
        return importlib.util.find_spec(module.partition(".")[0])
    except ValueError:  # of one that was imported without a file
        return None
