"""docs/watching.md shows commands and settings that are taken as they stand there."""

from __future__ import annotations

import pathlib
import re
import shlex

import pytest

from beam_obs.cli.check import check
from beam_obs.cli.probe import probe
from beam_obs.store.configuration import usable_schedules

PAGE = (pathlib.Path(__file__).parents[2] / "docs" / "watching.md").read_text()
COMMANDS = sorted(set(re.findall(r"beam-obs ((?:check|probe) (?!RUN|URL)[^\n\"`]+?)(?:'? }|\"|`|\n)", PAGE)))


def test_the_page_has_commands() -> None:
    assert len(COMMANDS) >= 7


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_page_is_taken(command: str) -> None:
    made = {"check": check, "probe": probe}
    name, *arguments = shlex.split(command.replace("$ARG2$", "--max-age 26h"))
    made[name].make_context(name, arguments)


def test_settings_of_the_page_are_taken() -> None:
    (settings,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    pathlib.Path("beam_obs.toml").write_text(settings)
    schedule = usable_schedules()["flights"]
    assert (schedule.takes_at_most_seconds, schedule.start_within_seconds) == (7_200, 900)


def test_every_option_is_on_the_page() -> None:
    of_stores = {"--store"}
    named = {option for command in (check, probe) for one in command.params for option in one.opts}
    long = {option for option in named if option.startswith("--")}
    assert [option for option in sorted(long - of_stores) if option not in PAGE] == []
