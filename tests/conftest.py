"""Settings of the whole suite, and the small data set and encoder that many tests use."""

import gc
import os
import sys

# Threads that wait by spinning take the cores from the other processes of a shared machine. This
# has to be known before torch is loaded.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
# A second thread gains nothing on models this small, and beside other workers it has no core.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import HealthCheck, settings
from small_data import small_settings, write_small
from tiny_models import tiny_bert

# No test pulls the plug, and a run waits for the disk twenty times. A wrong handle stays an error.
os.fsync = lambda file: os.fstat(file if isinstance(file, int) else file.fileno()) and None

# Else each of the processes that tests start compiles us anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

settings.register_profile(
    "ci",
    derandomize=True,
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("nightly", deadline=None, max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


# Half a minute of a small machine and more, the longest first: at the end one worker would wait
# for such a file. The Makefile tells xdist to keep this order.
LONG = [
    *("tune_search", "compare_command", "refit", "stored_run", "stock_recbole", "stock_models"),
    *("several_processes", "storage", "two_phase_trainer", "kills", "drop_in"),
    *("fold_in", "symcere", "trainer", "contract", "doctor", "export", "web", "audit"),
]


def pytest_collection_modifyitems(items):
    """Begin with the files that take long."""
    place = {f"test_{name}.py": n for n, name in enumerate(LONG)}
    items.sort(key=lambda item: place.get(item.path.name, len(place)))


@pytest.hookimpl(optionalhook=True)  # of xdist
def pytest_xdist_auto_num_workers():
    """Two more than cores: many tests wait for processes that they start."""
    return len(os.sched_getaffinity(0)) + 2


def pytest_collection_finish():
    """Keep what was imported and collected out of every later search for garbage."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)  # what tests leave behind is small


def pytest_terminal_summary(terminalreporter):
    """Show what tests noted by `record_property`, a section for each name."""
    reports = [report for found in terminalreporter.stats.values() for report in found]
    noted = {pair for report in reports for pair in getattr(report, "user_properties", ())}
    for title in sorted({title for title, _ in noted}):
        terminalreporter.section(title)
        terminalreporter.write_line(
            "\n".join(sorted(said for name, said in noted if name == title))
        )


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    """RecBole writes to the folder it stands in."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory):
    """The folder of a tiny random BERT."""
    return tiny_bert(tmp_path_factory.mktemp("encoder") / "bert")


@pytest.fixture(scope="session")
def small_folder(tmp_path_factory):
    """A data_path with the data set "small" in it."""
    folder = tmp_path_factory.mktemp("data")
    write_small(folder)
    return folder


@pytest.fixture(scope="session")
def cache_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def small(small_folder, tiny_encoder, cache_folder, tmp_path):
    """Settings of a run on "small" that takes a second or two."""
    return small_settings(small_folder, tiny_encoder, cache_folder, tmp_path)
