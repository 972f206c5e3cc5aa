"""Engines are installed once, into a cache that is found by every clone."""

from __future__ import annotations

import pathlib

import pytest

from tests.engines import install

GO = """\
#!/bin/sh
echo "$@" >> "$CALLS"
[ -z "$FAILING" ] || exit 1
echo '#!/bin/sh' > "$GOBIN/prism" && chmod +x "$GOBIN/prism"
"""


@pytest.fixture
def calls(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """What was asked of a `go` that builds at once, one line a call."""
    tool = tmp_path / "tools" / "go"
    tool.parent.mkdir()
    tool.write_text(GO)
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:/usr/bin:/bin")
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    monkeypatch.setenv("BEAM_OBS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "calls"


def test_an_engine_is_installed_once_and_found_by_its_version(calls: pathlib.Path) -> None:
    assert install.PRISM.install()
    assert install.PRISM.install()

    version = install.PRISM.folder.removeprefix("prism-")
    assert calls.read_text().splitlines() == [
        f"install github.com/apache/beam/sdks/v2/go/cmd/prism@v{version}"
    ]
    found = calls.parent / "cache" / "engines" / f"prism-{version}" / "prism"
    assert install.program(install.PRISM, "prism") == str(found)


def test_what_could_not_be_installed_leaves_nothing_behind(
    calls: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FAILING", "yes")

    assert not install.PRISM.install()

    assert list((calls.parent / "cache" / "engines").iterdir()) == []
    assert "Prism could not be installed: tests on it are skipped" in capsys.readouterr().out


def test_a_tool_that_is_missing_is_named(
    calls: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(calls.parent))

    assert install.main([]) == 0

    printed = capsys.readouterr().out
    assert "go is not installed: tests on Prism are skipped" in printed
    assert "mvn is not installed: tests on Flink are skipped" in printed
    assert "npm is not installed: tests on StatsD are skipped" in printed
    assert "Prometheus is not installed: tests on it are skipped. Debian: apt-get install --yes" in printed


def test_removing_leaves_what_else_the_folder_holds(calls: pathlib.Path) -> None:
    install.PRISM.install()
    other = calls.parent / "cache" / "other"
    other.touch()

    assert install.main(["--remove"]) == 0

    assert list(other.parent.iterdir()) == [other]


@pytest.mark.parametrize(
    ("own", "base", "expected"),
    [("/own", "/base", "/own"), ("", "/base", "/base/beam_obs"), ("", "base", "/home/me/.cache/beam_obs")],
)
def test_the_cache_is_where_its_variables_say(
    own: str, base: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BEAM_OBS_CACHE", own)
    monkeypatch.setenv("XDG_CACHE_HOME", base)
    monkeypatch.setenv("HOME", "/home/me")
    assert install.cache() == pathlib.Path(expected)
