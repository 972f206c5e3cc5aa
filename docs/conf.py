"""The site of the documentation: the pages as they are, and the reference from docstrings; `make site`."""

import importlib.metadata
import logging

project = "beam_obs"
author = "the authors of beam_obs"
release = version = importlib.metadata.version("beam-obs")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}
root_doc = "index"
html_theme = "furo"
html_title = "beam_obs"
html_show_sphinx = False

# Docstrings are in Google's style, and write code as Markdown does.
default_role = "code"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_member_order = "bysource"
autodoc_class_signature = "mixed"

myst_heading_anchors = 4
# The pages are read on their own too, and link to folders and files of the project.
suppress_warnings = ["myst.xref_missing"]

# Beam says at INFO what it makes of annotations that are text; that is no warning of this site.
logging.getLogger("apache_beam").setLevel(logging.WARNING)
