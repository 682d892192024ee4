"""The site as it is built."""

import re
import subprocess
import sys
import time
from importlib.util import find_spec

import pytest
from pages import DOCS, ROOT

from recbole_symcere.cli import _COMMANDS
from recbole_symcere.convert.sources import SOURCES
from recbole_symcere.model.registry import MODELS

pytestmark = pytest.mark.slow

_NEEDED = ("sphinx", "furo", "myst_nb", "sphinx_copybutton")
# what a browser fetches by itself; links for people are none of it
_FETCHED = re.compile(
    r"""<(?:script|img|iframe|source)[^>]+src="(?:https?:)?//|<link[^>]+href="(?:https?:)?//|"""
    r"""@import|url\(["']?(?:https?:)?//"""
)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    absent = [name for name in _NEEDED if find_spec(name) is None]
    if absent:
        pytest.skip(f"the site's packages aren't installed ({', '.join(absent)}): make docs")
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-n", "-q", "docs", str(out)]
    start = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stderr.strip() == ""
    assert time.monotonic() - start < 300  # two minutes on a machine that does nothing else
    return out


def test_nothing_is_fetched_from_elsewhere(site):
    for page in [*site.rglob("*.html"), *site.rglob("*.css")]:
        assert not _FETCHED.search(page.read_text()), page.name


def test_every_source_has_its_page(site):
    for page in DOCS.rglob("*.md"):
        if "_build" not in page.parts:
            assert (site / page.relative_to(DOCS)).with_suffix(".html").is_file()


def test_commands_models_and_settings_are_there(site):
    commands = (site / "reference" / "commands.html").read_text()
    for name in _COMMANDS:
        if name != "convert":
            assert f'id="command-{name}"' in commands
    converting = (site / "reference" / "convert.html").read_text()
    for name in (*SOURCES, "stats", "attach"):
        assert f'id="convert-{name.replace("_", "-")}"' in converting
    for name in MODELS:
        page = (site / "models" / f"{name.lower()}.html").read_text()
        assert "<math" in page or name == "Stack"
        assert page.count("<table") >= 2
    assert "max_length" in (site / "models" / "symcere.html").read_text()
    assert "tie_seed" in (site / "reference" / "settings.html").read_text()
    assert 'id="recbole_symcere.run_recbole"' in (site / "reference" / "api.html").read_text()
