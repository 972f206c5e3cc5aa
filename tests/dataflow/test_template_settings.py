"""What a `template.toml` may say."""

from __future__ import annotations

import pathlib

import pytest

import beam_obs as obs
from beam_obs.dataflow.template_settings import template_settings


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("module = 'm'", "name is not given"),
        ("module = 'm'\nname = 'n'\nstreamng = true", "there is no setting streamng; there are description"),
        ("module = 'm'\nname = 'n'\nstreaming = 'yes'", "streaming is 'yes'; it must be a true or false"),
        (
            "module = 'm'\nname = 'n'\nstreaming = true",
            "says exactly_once = true, at_least_once = true or both",
        ),
        ("module = 'm'\nname = 'n'\nexactly_once = true", "exactly_once is of streaming templates"),
        (
            "module = 'm'\nname = 'n'\ndefault_streaming_mode = 'EXACTLY_ONCE'",
            "default_streaming_mode is 'EXACTLY_ONCE'; it chooses between",
        ),
        (
            "module = 'm'\nname = 'n'\n[parameters.x]\nneeded = true",
            "parameters.x: there is no setting needed",
        ),
        ("module = 'm'\nname = 'n'\n[parameters]\nx = 1", "parameters.x is 1; write a table"),
        ("module = 'm'\nname = 'n'\n[parameters.x]\nregexes = [1]", "regexes are texts"),
        (
            "module = 'm'\nname = 'n'\n[parameters.x]\nregexes = ['[a-']",
            r"parameters\.x: regexes: '\[a-': it is no",
        ),
        ("module = 'm'\nname = 'n'\n[parameters.x]\nregexes = ['(?!a).+']", r"it has \(\?!, which not all"),
        ("module = 'm'\nname = 'n'\n[parameters.x]\nregexes = ['(?<=a)b']", r"it has \(\?<=, which not all"),
        ("module = 'm'\nname = 'n'\n[parameters.x]\nregexes = ['(a)\\1']", r"it has \\1, which not all"),
        ("module =", "Invalid value"),
        ("module = '.m'\nname = 'n'", r"module is '\.m'; it is the name of a module, as orders\.pipeline"),
        ("module = 'a m'\nname = 'n'", "module is 'a m'; it is the name of a module"),
    ],
)
def test_wrong_settings_are_refused(text: str, said: str, tmp_path: pathlib.Path) -> None:
    (tmp_path / "template.toml").write_text(text)
    with pytest.raises(obs.UsageError, match=said):
        template_settings(str(tmp_path))


@pytest.mark.parametrize("regex", [r"gs://[^/]+/.*", r"(?:a|b)\(?=", "[(?=]+", "[]a(?!]", r"\\1", "(?P<y>a)"])
def test_what_all_engines_know_is_taken(regex: str, tmp_path: pathlib.Path) -> None:
    (tmp_path / "template.toml").write_text(
        f"module = 'm'\nname = 'n'\n[parameters.x]\nregexes = ['{regex}']"
    )
    assert template_settings(str(tmp_path)).parameters["x"]["regexes"] == [regex]


def test_what_is_neither_a_folder_nor_a_module_is_refused() -> None:
    with pytest.raises(obs.UsageError, match=r"flights-batch: neither a folder with a template\.toml nor"):
        template_settings("flights-batch")
