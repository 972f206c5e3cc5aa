"""The image of the templates, built from `templates/Dockerfile` without network: `make image`.

Its base is Debian's Python, by debootstrap; packages come from a folder of wheels, and Beam's `boot` from its
Go module. Google's launcher is in its own base image alone: what stands in its place says so. All of it is
kept in the cache of engines, so that only what has changed is built again.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys

from tests.engines.install import PRISM, cache
from tests.install_by_apt import install_by_apt

PROJECT = pathlib.Path(__file__).parents[2]
NAME = "localhost/beam-obs-template"
_LOCK = PROJECT / "templates" / "requirements.lock"
_SOURCES = ("beam_obs", "pipelines", "pyproject.toml", "templates/Dockerfile", "templates/launch.py", _LOCK)
_LABEL = "beam_obs.sources"
_RELEASE = "bookworm"
_PYTHON = (3, 11)
"""Of that release."""

_NO_LAUNCHER = """#!/bin/sh
echo "this stands in the place of the launcher of Flex templates, which is in Google's base image alone" >&2
exit 1
"""


def folder() -> pathlib.Path:
    """Returns the folder of what images are made of, and of the images."""
    return cache() / "engines" / "image"


def buildah(*arguments: str) -> list[str]:
    """Returns a command of buildah, with the images of `folder`."""
    places = [f"--root={folder() / 'store'}", f"--runroot={folder() / 'run'}", "--storage-driver=vfs"]
    return ["env", "BUILDAH_ISOLATION=chroot", "buildah", *places, *arguments]


def is_built() -> bool:
    """Returns whether there is an image of the templates, of the code that is here."""
    if shutil.which("buildah") is None:
        return False
    label = f'{{{{index .OCIv1.Config.Labels "{_LABEL}"}}}}'
    found = subprocess.run(
        buildah("inspect", "--type=image", f"--format={label}", NAME),
        capture_output=True,
        text=True,
        check=False,
    )
    return found.stdout.strip() == _digest()


def _digest() -> str:
    """Returns a digest of what an image is made of."""
    digest = hashlib.sha256()
    for name in _SOURCES:
        place = PROJECT / name
        for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
            if path.is_file() and path.suffix != ".pyc":
                digest.update(f"{path.relative_to(PROJECT)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def main(argv: list[str] | None = None) -> int:
    """Builds the image, unless there is one of the code that is here.

    Returns 1 where something that it takes is missing; 0 with ``--where-possible``, for whoever builds what a
    machine can. What is missing is said.
    """
    parser = argparse.ArgumentParser(description="Builds the image of the templates, without network.")
    parser.add_argument("--where-possible", action="store_true", help="succeed where parts cannot be had")
    where_possible = parser.parse_args(argv).where_possible
    if is_built():
        print(f"{NAME} is there")
        return 0
    try:
        given = _parts()
    except _Missing as missing:
        print(f"there is no image of the templates, and its tests are skipped: {missing}")
        return 0 if where_possible else 1
    _run(
        *buildah("bud", "--quiet", "--network=none", f"--volume={_wheels()}:/wheels:ro", f"--tag={NAME}"),
        *(f"--build-arg={name}={value}" for name, value in given.items()),
        f"--label={_LABEL}={_digest()}",
        f"--file={PROJECT / 'templates' / 'Dockerfile'}",
        str(PROJECT),
    )
    _run(*buildah("rmi", "--prune"))  # that of the code as it was
    print(f"built {NAME}")
    return 0


class _Missing(Exception):
    """What an image takes cannot be had here."""


def _parts() -> dict[str, str]:
    """Returns the arguments of the build; all that it takes is there then.

    Raises:
      _Missing: a part cannot be had.
    """
    install_by_apt("the builder of images", {"buildah": "buildah", "debootstrap": "debootstrap"})
    missing = [tool for tool in ("buildah", "debootstrap", "go") if shutil.which(tool) is None]
    if missing:
        raise _Missing(f"it takes {', '.join(missing)}")
    if os.geteuid() != 0:
        raise _Missing("it takes root")
    if sys.version_info[:2] != _PYTHON:
        raise _Missing(f"its wheels are for Python {'.'.join(map(str, _PYTHON))}")
    folder().mkdir(parents=True, exist_ok=True)
    try:
        _wheels()
        return {
            "PYTHON": _base(),
            "BEAM": _boot(),
            "LAUNCHER": _launcher(),
            "PIP_ARGUMENTS": "--no-index --find-links=/wheels",
        }
    except subprocess.CalledProcessError as error:
        raise _Missing(f"{error.cmd[0]} failed: {' '.join(error.cmd)}") from None


def _base() -> str:
    """Returns the image of Debian with Python."""
    made = folder() / "base"
    if not (made / "rootfs.tar").exists():
        root = folder() / "rootfs"
        shutil.rmtree(root, ignore_errors=True)
        packages = "--include=python3,python3-venv,ca-certificates"
        _run(
            "debootstrap", "--variant=minbase", packages, _RELEASE, str(root), "http://deb.debian.org/debian"
        )
        made.mkdir(exist_ok=True)
        _run("tar", "-C", str(root), "-cf", str(made / "filling.tar"), ".")
        (made / "filling.tar").rename(made / "rootfs.tar")
        shutil.rmtree(root)
    return _image("base", made, "ADD rootfs.tar /")


def _boot() -> str:
    made = folder() / "boot"
    version = PRISM.folder.rpartition("-")[2]
    place = made / "opt" / "apache" / "beam"
    if not (place / f"boot-{version}").exists():
        place.mkdir(parents=True, exist_ok=True)
        module = f"github.com/apache/beam/sdks/v2/python/container@v{version}"
        _run("env", f"GOBIN={place}", "go", "install", module)
        (place / "container").rename(place / f"boot-{version}")
        shutil.copy2(place / f"boot-{version}", place / "boot")
    return _image("boot", made, "COPY opt/apache/beam/boot /opt/apache/beam/boot")


def _launcher() -> str:
    made = folder() / "launcher"
    file = made / "opt" / "google" / "dataflow" / "python_template_launcher"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(_NO_LAUNCHER)
    file.chmod(0o755)
    return _image("launcher", made, "COPY opt /opt")


def _wheels() -> pathlib.Path:
    """Returns a folder of all that the lock names, as it was published, and what builds a wheel."""
    digest = hashlib.sha256(_LOCK.read_bytes()).hexdigest()[:16]
    made = folder() / f"wheels-{digest}"
    if not made.exists():
        filling = made.with_suffix(".filling")
        download = [sys.executable, "-m", "pip", "download", "--quiet", f"--dest={filling}"]
        _run(*download, "--no-deps", f"--requirement={_LOCK}")
        _run(*download, "setuptools", "wheel")  # the lock has hashes, and no others are taken beside them
        filling.rename(made)
    return made


def _image(name: str, context: pathlib.Path, content: str) -> str:
    tag = f"localhost/beam-obs-{name}"
    file = context / "Dockerfile"
    text = f"FROM scratch\n{content}\n"
    if not file.exists() or file.read_text() != text or not _is_there(tag):
        file.write_text(text)
        _run(*buildah("bud", "--quiet", "--network=none", f"--file={file}", f"--tag={tag}", str(context)))
    return tag


def _is_there(tag: str) -> bool:
    return not subprocess.call(
        buildah("inspect", "--type=image", tag), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def _run(*command: str) -> None:
    subprocess.run(command, check=True)


if __name__ == "__main__":
    sys.exit(main())
