"""What Beam's `--setup_file` needs to ship this project to workers; all metadata is in pyproject.toml."""

import setuptools

setuptools.setup()
