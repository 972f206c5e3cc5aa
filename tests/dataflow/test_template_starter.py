"""A new pipeline with its template begins with tests that pass."""

from __future__ import annotations

import os
import pathlib

import apache_beam as beam
import pytest
import yaml

import beam_obs as obs
from beam_obs.dataflow.template_settings import template_settings
from beam_obs.dataflow.template_starter import start_template
from tests.programs import run

pytest.importorskip("google.cloud.dataflow_v1beta3", reason="pip install 'beam_obs[dataflow,gcp]'")

PROJECT = pathlib.Path(__file__).parents[2]


@pytest.mark.slow
def test_a_new_template_passes_its_own_tests(tmp_path: pathlib.Path) -> None:
    def done(folder: pathlib.Path, *command: str) -> None:
        environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
        environment.pop("PYTEST_ADDOPTS", None)
        made = run(["-m", *command], cwd=folder, env=environment, forks=True)
        assert made.returncode == 0, made.stdout + made.stderr

    done(tmp_path, "beam_obs.cli", "template", "new", "orders-daily")
    done(tmp_path / "orders-daily", "pytest", "-q", "-p", "no:cacheprovider")


def test_each_file_of_a_new_template_is_of_its_name(tmp_path: pathlib.Path) -> None:
    written = start_template("orders-daily", tmp_path)
    names = {str(path.relative_to(tmp_path / "orders-daily")) for path in written}
    assert {"orders_daily/pipeline.py", "template.toml", "Dockerfile", "cloudbuild.yaml", "README.md"} < names
    assert ".gcloudignore" in names
    for path in written:
        text = path.read_text()
        assert "{{name}}" not in text
        assert "{{package}}" not in text
        if path.suffix == ".py":
            compile(text, str(path), "exec")


@pytest.mark.parametrize(
    "name", ["Orders", "orders_daily", "1st", "orders--daily", "class", "a" * 64, "../x"]
)
def test_a_name_that_is_none_is_refused(name: str, tmp_path: pathlib.Path) -> None:
    with pytest.raises(obs.UsageError, match="cannot be named"):
        start_template(name, tmp_path)


@pytest.mark.parametrize("name", ["conftest", "data", "launch", "out", "tests", "wheels"])
def test_a_name_of_what_is_in_the_folder_is_refused(name: str, tmp_path: pathlib.Path) -> None:
    with pytest.raises(obs.UsageError, match=rf"has a {name} already"):
        start_template(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_beam_obs_is_installed_from_the_wheels_wherever_it_is_asked_for(tmp_path: pathlib.Path) -> None:
    files = {path.name: path.read_text() for path in start_template("orders", tmp_path)}
    for name in ("README.md", "Dockerfile", "cloudbuild.yaml"):
        text = files[name].replace("\\\n", " ")
        installs = [line for line in text.splitlines() if "--requirement requirements.txt" in line]
        assert installs
        assert all("--find-links" in line for line in installs), name
    assert files["README.md"].index("pip wheel") < files["README.md"].index("pip install")


def test_a_new_template_is_told_by_where_it_is(tmp_path: pathlib.Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    made = run(["-m", "beam_obs.cli", "template", "new", "orders"], cwd=tmp_path, env=environment, forks=True)
    assert (tmp_path / "orders" / "metadata.json").exists()
    assert (made.stdout + made.stderr).splitlines() == ["wrote 18 files to orders: see orders/README.md"]


@pytest.mark.parametrize("name", ["true", "no", "null", "on"])
def test_a_name_stays_one_where_a_format_has_another_meaning_for_it(
    name: str, tmp_path: pathlib.Path
) -> None:
    start_template(name, tmp_path)
    build = yaml.safe_load((tmp_path / name / "cloudbuild.yaml").read_text())
    assert build["substitutions"]["_PIPELINE"] == name
    assert template_settings(str(tmp_path / name)).name == name


def test_the_image_is_given_what_it_copies_and_no_more(tmp_path: pathlib.Path) -> None:
    files = {path.name: path.read_text() for path in start_template("orders-daily", tmp_path)}
    copied = {
        source
        for line in files["Dockerfile"].splitlines()
        if line.startswith("COPY ") and "--from" not in line
        for source in line.split()[1:-1]
    }
    given = {line[1:] for line in files[".dockerignore"].splitlines() if line.startswith("!")}
    assert given == copied


def test_the_image_has_the_beam_that_is_installed(tmp_path: pathlib.Path) -> None:
    (text,) = [path.read_text() for path in start_template("orders", tmp_path) if path.name == "Dockerfile"]
    assert f"_sdk:{beam.__version__}\n" in text


@pytest.mark.parametrize("name", ["json", "sys", "apache-beam"])
def test_a_name_of_a_module_is_refused_before_anything_is_written(name: str, tmp_path: pathlib.Path) -> None:
    with pytest.raises(obs.UsageError, match=r"there is a module \w+ already"):
        start_template(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_link_that_leads_nowhere_is_left_alone(tmp_path: pathlib.Path) -> None:
    (tmp_path / "orders").symlink_to("nowhere")
    with pytest.raises(obs.UsageError, match=r"orders is there already"):
        start_template("orders", tmp_path)


def test_a_folder_that_is_there_is_left_alone(tmp_path: pathlib.Path) -> None:
    (tmp_path / "orders").mkdir()
    with pytest.raises(obs.UsageError, match=r"orders is there already"):
        start_template("orders", tmp_path)
