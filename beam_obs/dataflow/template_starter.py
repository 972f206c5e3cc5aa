"""A folder to begin a pipeline and its template with: program, options, image, build, and tests that pass."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import keyword
import os
import pathlib
import re
import shutil
from collections.abc import Iterator

from beam_obs.records.errors import UsageError

_FILES = pathlib.Path(__file__).parent / "starter"
_SUFFIX = ".in"
_MADE_LATER = {"out", "wheels"}
"""Folders that the README's commands make."""
_NAME = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
"""Names of pipelines that are labels of Dataflow and names of images; and, with underscores, of packages."""


def start_template(name: str, parent: pathlib.Path) -> list[pathlib.Path]:
    """Writes the folder of a new pipeline and its template; returns the files.

    `metadata.json` and `steps.txt` are not among them: they come from the program.

    Args:
      name: of the pipeline, and of the folder.
      parent: the folder that it is written to.

    Raises:
      UsageError: the name is none or that of a module or of what is in the folder, or there is such a
        folder already.
    """
    package = name.replace("-", "_")
    if _NAME.fullmatch(name) is None or "--" in name or keyword.iskeyword(package):
        raise UsageError(
            f"a pipeline cannot be named {name!r}: it is the name of an image and of a package too; use "
            "small letters, digits and hyphens, at most 63, a letter first"
        )
    folder = parent / name
    if os.path.lexists(folder):  # a link that leads nowhere too
        raise UsageError(f"{folder} is there already: a new template is a folder of its own")
    if name in _MADE_LATER | {path.name.partition(".")[0] for path in _FILES.iterdir()}:
        raise UsageError(
            f"a pipeline cannot be named {name!r}: its folder has a {name} already, beside its package; e.g. "
            f"{name}-pipeline"
        )
    if _is_module(package):
        raise UsageError(
            f"a pipeline cannot be named {name!r}: there is a module {package} already, which its own would "
            f"be taken for; e.g. {name}-pipeline"
        )
    given = {"name": name, "package": package, "beam": importlib.metadata.version("apache-beam")}
    written = []
    with whole_or_none(folder):
        for file in sorted(_FILES.rglob(f"*{_SUFFIX}")):
            place = str(file.relative_to(_FILES)).removesuffix(_SUFFIX).replace("package/", f"{package}/", 1)
            text = file.read_text(encoding="utf-8")
            for key, value in given.items():
                text = text.replace(f"{{{{{key}}}}}", value)
            path = folder / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            written.append(path)
    return written


@contextlib.contextmanager
def whole_or_none(folder: pathlib.Path) -> Iterator[None]:
    """Removes a folder that the block writes where the block fails.

    Args:
      folder: the folder, which is not there yet or is begun.
    """
    try:
        yield
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _is_module(name: str) -> bool:
    try:
        found = importlib.util.find_spec(name)
    except ValueError:  # of one that was imported without a file
        return True
    # A folder without __init__.py comes after any package, so that it stands in nobody's way.
    return found is not None and found.origin is not None
