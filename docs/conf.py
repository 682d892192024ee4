"""How the site is built: `make docs`."""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "docs" / "_ext"), str(ROOT)]

from recbole_symcere.version import __version__  # noqa: E402 # found on the path above

project = "recbole_symcere"
author = "The recbole_symcere developers"
copyright = author
release = version = __version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "docstrings",
    "help_pages",
    "mathml",
    "model_pages",
]
exclude_patterns = ["_build", "_ext", "**.ipynb_checkpoints"]

# Equations become MathML when the site is built, so that a page asks no other server for anything.
html_math_renderer = "mathml"
myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # notebooks are shown as they were run; tests run them

# `name` in a docstring is a link where there is such an entry, and code otherwise
default_role = "py:obj"
nitpicky = True
nitpick_ignore_regex = [("py:.*", r"(?!recbole_symcere\.).*")]
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints = "signature"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_custom_sections = ["Differs from the paper", "Relations", "Example"]

html_theme = "furo"
html_title = "recbole_symcere"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
copybutton_prompt_text = "$ "
copybutton_line_continuation_character = "\\"
highlight_language = "text"
pygments_style = "friendly"
pygments_dark_style = "monokai"
