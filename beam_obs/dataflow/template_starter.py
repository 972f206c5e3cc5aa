"""A folder to begin a pipeline and its template with: program, options, image, build, and tests that pass."""

from __future__ import annotations

import keyword
import pathlib
import re

from beam_obs.records.errors import UsageError

_FILES = pathlib.Path(__file__).parent / "starter"
_SUFFIX = ".in"
_NAME = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
"""Names of pipelines that are labels of Dataflow and names of images; and, with underscores, of packages."""


def start_template(name: str, parent: pathlib.Path) -> list[pathlib.Path]:
    """Writes the folder of a new pipeline and its template; returns the files.

    `metadata.json` and `steps.txt` are not among them: they come from the program.

    Args:
      name: of the pipeline, and of the folder.
      parent: the folder that it is written to.

    Raises:
      UsageError: the name is none, or there is such a folder already.
    """
    package = name.replace("-", "_")
    if _NAME.fullmatch(name) is None or "--" in name or keyword.iskeyword(package):
        raise UsageError(
            f"a pipeline cannot be named {name!r}: it is the name of an image and of a package too; use "
            "small letters, digits and hyphens, at most 63, a letter first"
        )
    folder = parent / name
    if folder.exists():
        raise UsageError(f"{folder} is there already: a new template is a folder of its own")
    written = []
    for file in sorted(_FILES.rglob(f"*{_SUFFIX}")):
        place = str(file.relative_to(_FILES)).removesuffix(_SUFFIX).replace("package/", f"{package}/", 1)
        text = file.read_text(encoding="utf-8").replace("{{name}}", name).replace("{{package}}", package)
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        written.append(path)
    return written
