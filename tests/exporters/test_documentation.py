"""The tables of docs/exporters.md name what there is."""

from __future__ import annotations

import pathlib
import re

import yaml
from click.testing import CliRunner

from beam_obs.cli.main import beam_obs as command_line
from beam_obs.exporters.targets import TARGETS

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "exporters.md"


def test_it_lists_every_target_as_option_setting_and_command() -> None:
    page = PAGE.read_text()
    listed = re.findall(r"^\| `--obs_(\w+)=[^`]+` \| `(\w+)` \|", page, flags=re.MULTILINE)
    assert sorted(listed) == sorted((name, name) for name in TARGETS)
    help_text = CliRunner().invoke(command_line, ["exporter", "--help"]).output
    assert [name for name in TARGETS if f"--{name.replace('_', '-')} " not in help_text] == []


def test_its_settings_for_prometheus_are_yaml_of_scrapes() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        (job,) = yaml.safe_load(block)["scrape_configs"]
        assert job["honor_labels"] is True
