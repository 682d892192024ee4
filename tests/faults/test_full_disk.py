"""File systems that fill up: one line that names the path, and nothing lost."""

import os
import subprocess
from pathlib import Path

import pytest
from faults.processes import Command
from faults.test_kills import command_of, data, unbroken  # noqa: F401 # fixtures
from run.test_trainer import same

SIZES = (64, 100, 150, 200, 300, 400, 600, 800, 1200, 1600, 2400, 4000)  # kB


@pytest.fixture
def disk(tmp_path):
    """Mounts a file system of so many kilobytes on a folder, and grows it."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(kilobytes, *how):
        options = ",".join((f"size={kilobytes}k", *how))
        done = subprocess.run(  # our own words
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)],
            capture_output=True, check=False,
        )  # fmt: skip
        if done.returncode:
            pytest.skip("a file system can't be mounted here")
        return folder

    yield mount
    subprocess.run(["umount", str(folder)], capture_output=True, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["frozen", "blend", "phases", "stock"])
@pytest.mark.parametrize("size", SIZES)
def test_a_disk_that_fills_up(unbroken, disk, tmp_path, name, size):  # noqa: F811 # fixture
    run, words, _ = unbroken(name)
    folder, log = disk(size), tmp_path / "log"
    code = Command([*words, "--run_dir=run"], folder, log).wait()
    said = log.read_text()
    assert "Traceback" not in said
    if code:
        errors = [line for line in said.splitlines() if line.startswith("error: ")]
        assert len(errors) == 1, said
        assert "can't be written: No space left on device; free some space" in errors[0], said
        disk(20_000, "remount")
        begun = (folder / "run" / "config.yaml").exists()
        again = [f"--resume={folder / 'run'}"] if begun else [*words, "--run_dir=run"]
        assert Command(again, folder, log).wait() == 0, log.read_text()
    assert same(run, folder / "run")
    assert os.statvfs(folder)
    assert Path(folder).exists()
