"""Makes a store as a release writes it, for those that come after: `python tests/stores/make.py NAME`.

NAME is that of a folder beside this file with a program and its input. The program is run, and what the
commands say of its store is kept as text, all by the release that is imported: run this with PYTHONPATH at a
checkout of it. A store that is there is never made anew, as those of users are not. Where commands are to say
something else in words, `--answers` keeps what they say with what is imported; the JSON stays as it was.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator

from click.testing import CliRunner

from beam_obs.cli.main import beam_obs as command_line

PROGRAM = "temperatures.py"
FOLDER = pathlib.Path(__file__).parent
HERE = "/proc/self/cwd"
"""The folder that a store and its files are asked in, by a name that is the same wherever that is."""


def commands(letters: dict[str, str]) -> list[list[str]]:
    """Returns what is asked of the store.

    Args:
      letters: stage -> id of a dead letter of it, in the first run that refused something there.
    """
    latest, before = "temperatures@latest", "temperatures@latest~1"
    means = f"{HERE}/output/second/means-00000-of-00001"
    days = f"{HERE}/output/first/days-00000-of-00001.jsonl"
    return [
        ["runs"],
        ["runs", "--json"],
        *(["show", run] for run in (latest, before, "pages@latest", "too-many@latest")),
        ["show", latest, "--json"],
        ["show", "too-many@latest", "--json"],
        ["diff", before, latest],
        ["diff", before, latest, "--json"],
        ["dead-letters", "list", before],
        ["dead-letters", "list", before, "--json"],
        ["dead-letters", "list", latest, "--letters"],
        ["dead-letters", "list", latest, "--letters", "--json"],
        ["dead-letters", "list", "--pipeline", "temperatures"],
        ["dead-letters", "list", "--pipeline", "temperatures", "--json"],
        *(["dead-letters", "show", letter] for _, letter in sorted(letters.items())),
        ["dead-letters", "show", letters["readings"], "--json"],
        ["dead-letters", "show", letters["parse"], "--trust-pickles"],
        ["why", f"{means}:1"],
        ["why", f"{means}:1", "--json"],
        ["why", f"{days}:1"],
        ["why", days, "--match", "city=rome", "--json"],
        *(["fate", f"{HERE}/input/readings-1.csv:{line}"] for line in (2, 4, 6, 9, 10, 11)),
        ["fate", f"{HERE}/input/readings-2.csv:2", "--json"],
        ["fate", f"{HERE}/input/cities.jsonl:4"],
        ["fate", f"{HERE}/input/readings-1-other.csv:2"],
        ["sources", before],
        ["sources", before, "--json"],
        ["affected", "--source", f"{HERE}/input/readings-1.csv"],
        ["affected", "--source", f"{HERE}/input/readings-1.csv", "--json"],
        ["prune", "--older-than", "0d", "--dry-run", "--keep-newest", "1", "--json"],
        ["prune", "--match", "city=oslo", "--dry-run"],
    ]


def first_letters(folder: pathlib.Path) -> dict[str, str]:
    """Returns the first dead letter of each stage of a store, as `commands` takes it."""
    found: dict[str, str] = {}
    for run in ("temperatures@latest~1", "pages@latest"):
        for line in ask(folder, ["dead-letters", "list", run, "--letters", "--json"]).splitlines():
            letter = json.loads(line)
            found.setdefault(letter["stage"], letter["id"])
    return found


def ask(folder: pathlib.Path, command: list[str]) -> str:
    """Returns what a command prints of the store in a folder, and how it ends where it does not end well."""
    with in_folder(folder):
        done = CliRunner().invoke(command_line, [*command, "--store", "store"], catch_exceptions=True)
    told = re.sub(r"(?m)[ ]+$", "", done.output).replace(str(folder.resolve()), HERE)
    return told if done.exit_code == 0 else f"{told}exit code {done.exit_code}: {done.exception}\n"


@contextlib.contextmanager
def in_folder(folder: pathlib.Path) -> Iterator[None]:
    """Asks as someone does who is in a folder, with a terminal of 100 columns and no settings."""
    before, kept = os.getcwd(), dict(os.environ)
    os.environ.update(COLUMNS="100")
    os.environ.pop("BEAM_OBS_STORE", None)
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
        os.environ.clear()
        os.environ.update(kept)


def keep(folder: pathlib.Path, command: list[str]) -> None:
    """Writes down what a command says, behind a line with the command."""
    answers = folder / "answers"
    answers.mkdir(exist_ok=True)
    number = len(list(answers.iterdir())) + 1
    (answers / f"{number:02}.txt").write_text(f"{shlex.join(command)}\n{ask(folder, command)}")


def keep_texts(folder: pathlib.Path) -> None:
    """Writes down anew what the commands say in words."""
    for file in sorted((folder / "answers").iterdir()):
        command = shlex.split(file.read_text().partition("\n")[0])
        if "--json" not in command:
            file.write_text(f"{shlex.join(command)}\n{ask(folder, command)}")


def make(folder: pathlib.Path) -> None:
    """Makes a store, what the program writes beside it, and what the commands say of it."""
    if (folder / "store").exists():
        sys.exit(f"{folder} has a store: those that are there are not made anew")
    with tempfile.TemporaryDirectory() as empty:  # no repository, whose commit would be the code's version
        elsewhere = pathlib.Path(empty) / folder.name
        shutil.copytree(folder, elsewhere)
        subprocess.run([sys.executable, f"{HERE}/{PROGRAM}"], cwd=elsewhere, check=True)
        shutil.copytree(elsewhere, folder, dirs_exist_ok=True)
    for command in commands(first_letters(folder)):
        keep(folder, command)


if __name__ == "__main__":
    name, *rest = sys.argv[1:]
    if rest == ["--answers"]:
        keep_texts(FOLDER / name)
    else:
        make(FOLDER / name)
