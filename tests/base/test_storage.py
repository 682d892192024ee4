"""Places that can't be written, what killed writers leave, and half-done replacements."""

import errno
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path
from types import SimpleNamespace

import pytest

from recbole_symcere.base.errors import InputError, StorageError
from recbole_symcere.base.files import replacing, write_bytes
from recbole_symcere.base.storage import (
    locked,
    put_back,
    remove_leftovers,
    replaced_place,
    scratch_folder,
    storage_cause,
    storage_error,
    writing,
)

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC, r"No space left on device; free some space there \([\d.,]+ MB are free\)"),
        (errno.EDQUOT, r"free some space there"),
        (errno.EROFS, r"Read-only file system; make the folder writable"),
        (errno.EACCES, r"Permission denied; make the folder writable"),
        (errno.ENOENT, r"No such file or directory; its folder was moved or removed meanwhile"),
        (errno.EIO, r"Input/output error; check the disk"),
    ],
)
def test_what_is_said_of_a_place(tmp_path, number, message):
    message = f"{tmp_path}/x can't be written: .*{message}"
    with pytest.raises(StorageError, match=message), writing(tmp_path / "x"):
        raise OSError(number, os.strerror(number))


def test_an_error_of_a_place_is_a_mistake_that_is_told_in_one_line():
    error = storage_error("x", OSError(errno.ENOSPC, "full"))
    assert isinstance(error, InputError)
    assert "\n" not in str(error)


def test_numbers_that_stand_in_words_alone():
    said = "Error while serializing: I/O error: No space left on device (os error 28)"
    assert "free some space" in str(storage_error("x", OSError(said)))
    failed = shutil.Error([("a", "b", "[Errno 28] No space left on device: 'b'")])
    assert "No space left on device; free some space" in str(storage_error("x", failed))


def test_the_cause_is_found_behind_what_a_library_raises():
    def raised():
        try:
            try:
                raise OSError(errno.ENOSPC, "full", "disk/file")
            except OSError:
                raise RuntimeError("a library") from None
        except RuntimeError as error:
            return error

    assert "disk/file can't be written" in str(storage_cause(raised()))
    assert storage_cause(ValueError("other")) is None
    assert storage_cause(FileNotFoundError(errno.ENOENT, "absent", "x")) is None  # a fault of ours


def test_a_folder_that_is_gone_is_not_made_again(tmp_path):
    path = tmp_path / "gone" / "x"
    gone = pytest.raises(StorageError, match="moved or removed meanwhile")
    with gone, replacing(path, make_folder=False) as aside:
        aside.write_text("x")
    assert not path.parent.exists()
    write_bytes(path, b"x")
    assert path.read_bytes() == b"x"


# --- what killed writers leave --------------------------------------------------------------------

KILLED = """
import os, sys, time
from pathlib import Path
from recbole_symcere.base.files import replacing
with replacing(Path(sys.argv[1])) as aside:
    aside.write_text("half")
    print("there", flush=True)
    time.sleep(60)
"""


def writer(path):
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(path)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    process.stdout.readline()
    return process


def test_what_a_killed_writer_left_goes_and_what_a_living_one_holds_stays(tmp_path):
    living, killed = writer(tmp_path / "a"), writer(tmp_path / "b")
    killed.kill()
    killed.communicate()
    (tmp_path / ".hidden").write_text("somebody's")
    (tmp_path / f".old.{'0' * 32}").write_text("a file of the version before")
    assert len([*tmp_path.iterdir()]) == 4
    try:
        remove_leftovers(tmp_path, tmp_path / "nowhere")
        left = sorted(path.name[:3] for path in tmp_path.iterdir())
        assert left == [".a.", ".hi"]
    finally:
        living.kill()
        living.communicate()
    remove_leftovers(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".hidden"]


def test_what_was_made_this_instant_may_be_waiting_for_its_lock(tmp_path):
    fresh = tmp_path / f".x.{'0' * 32}"
    fresh.mkdir()
    remove_leftovers(tmp_path)
    assert fresh.exists()
    os.utime(fresh, (time.time() - 60,) * 2)
    remove_leftovers(tmp_path)
    assert not fresh.exists()
    fresh.mkdir()
    remove_leftovers(tmp_path, alone=True)
    assert not fresh.exists()


def test_a_scratch_folder_of_a_killed_process_goes(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    left, other = tmp_path / "ours-left", tmp_path / "theirs"
    for folder in (left, other):
        folder.mkdir()
        (folder / "file").write_text("x")
    with scratch_folder("ours-") as living, scratch_folder("ours-") as mine:
        assert not left.exists()
        assert living.exists()
        (mine / "x").write_text("x")
    assert [path.name for path in tmp_path.iterdir()] == ["theirs"]


@pytest.mark.parametrize("model", ["SymCERE", "LightGCN"])
def test_leftovers_go_at_the_next_start(small, tmp_path, model):
    from recbole_symcere.run.quick_start import resume, run_recbole

    own = {**small, "cache_dir": str(tmp_path / "cache"), "run_dir": "run", "epochs": 1}
    run_recbole(model, "small", config_dict=own)
    folders = [Path("run"), Path("run/checkpoint"), tmp_path / "cache"]
    folders += [tmp_path / "cache" / name for name in ("tokens", "vectors")]
    for folder in folders:
        left = folder / f".x.{'a' * 32}"
        left.mkdir(parents=True)
        (left / "half").write_text("half")
    resume("run")
    assert not [path for folder in folders for path in folder.glob(".x.*")]


# --- a data set that takes another one's place ---------------------------------------------------


def replaced(folder):
    """A data set as it stands between the two renames of a replacement."""
    aside = replaced_place(folder)
    folder.rename(aside)
    return aside


def test_a_data_set_is_put_back(tmp_path):
    folder = tmp_path / "yelp"
    folder.mkdir()
    (folder / "x").write_text("x")
    aside = replaced(folder)
    put_back(folder)
    assert (folder / "x").read_text() == "x"
    assert not aside.exists()
    put_back(folder)
    put_back(tmp_path / "nothing")
    aside.mkdir()  # killed after the second rename: the new one stands
    put_back(folder)
    assert (folder / "x").exists()


def test_a_living_conversion_is_waited_for(tmp_path):
    folder, new = tmp_path / "yelp", tmp_path / "new"
    for place in (folder, new):
        place.mkdir()
        (place / "x").write_text(place.name)
    with locked(folder):
        replaced(folder)
        reader = threading.Thread(target=put_back, args=(folder,))
        reader.start()
        time.sleep(0.2)
        assert not folder.exists()
        new.rename(folder)
    reader.join()
    assert (folder / "x").read_text() == "new"


def test_every_command_puts_a_data_set_back(small_folder, small, tmp_path, capsys):
    from recbole.config import Config as StockConfig

    from recbole_symcere.cli import main
    from recbole_symcere.run.quick_start import load_data_and_model, run_recbole

    data = shutil.copytree(small_folder, tmp_path / "own")
    own = {**small, "data_path": str(data), "epochs": 1}
    run_recbole("LightGCN", "small", config_dict={**own, "run_dir": "run"})
    Path("reviews.csv").write_text("user_id,item_id,text\nu0,i3,good\n")
    place = [f"--output_dir={data}", "--name=small"]
    for command in (
        lambda: run_recbole("LightGCN", "small", config_dict=own),
        lambda: load_data_and_model("run"),
        lambda: main(["--resume=run"]),
        lambda: main(["report", "--run=run"]),
        lambda: StockConfig("BPR", "small", config_dict={"data_path": str(data)}),
        lambda: main(["convert", "stats", *place]),
        lambda: main(["convert", "attach", "--input=reviews.csv", *place, "--overwrite=True"]),
    ):
        replaced(data / "small")
        command()
        assert (data / "small" / "small.inter").is_file()
        assert not replaced_place(data / "small").exists()


# --- disks that are full or read-only ------------------------------------------------------------


def failing(monkeypatch, after, number=errno.ENOSPC):
    """Let all writing fail from the ``after``-th file on."""
    from recbole_symcere.base import storage

    made, count = uuid.uuid4, [0]

    def uuid4():
        count[0] += 1
        if count[0] > after:
            raise OSError(number, os.strerror(number))
        return made()

    monkeypatch.setattr(storage, "uuid", SimpleNamespace(uuid4=uuid4))


@pytest.mark.parametrize("model", ["SymCERE", "LightGCN"])
def test_a_disk_that_fills_up_at_any_file(small, tmp_path, monkeypatch, capsys, model):
    from run.test_trainer import same

    from recbole_symcere.cli import main

    own = {**small, "epochs": 2, "learning_rate": 0.01, "cache_dir": str(tmp_path / "cache")}
    if model == "LightGCN":
        own.pop("max_length")
    words = [f"--model={model}", "--dataset=small", *(f"--{k}={v}" for k, v in own.items())]
    assert main([*words, "--run_dir=unbroken"]) == 0
    shutil.rmtree(tmp_path / "cache")
    for after in range(40):
        shutil.rmtree("run", ignore_errors=True)
        with monkeypatch.context() as patch:
            failing(patch, after)
            status = main([*words, "--run_dir=run"])
        said = capsys.readouterr().err
        if status == 0:
            break
        assert status == 2
        assert re.fullmatch(
            r"error: \S+ can't be written: No space left on device; free some space there "
            r"\(.* MB are free\), or name another folder\.( --resume=run goes on after the last "
            r"finished epoch)?\n",
            said,
        ), said
        finished = Path("run/checkpoint/best.safetensors").exists()
        assert ("--resume=run" in said) == finished
        if finished:
            assert main(["--resume=run"]) == 0
            assert same(Path("unbroken"), Path("run"))
            capsys.readouterr()
    assert after > 6


def test_a_log_that_cannot_be_written_says_so_once(small, monkeypatch, capsys):
    from recbole_symcere.run import run_log
    from recbole_symcere.run.quick_start import run_recbole

    class Full:
        """A stream on a full disk."""

        def write(self, _):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        flush = write

        def close(self):
            self.write("")

    monkeypatch.setattr(run_log._FileHandler, "_open", lambda _: Full())
    run_recbole("LightGCN", "small", config_dict={**small, "run_dir": "run"})
    said = capsys.readouterr().err
    assert said.count("run.log can't be written: No space left on device") == 1
    assert "Traceback" not in said


def test_curves_that_cannot_be_written_stop_no_run(small, monkeypatch, capsys, caplog):
    from tensorboard.summary.writer.record_writer import RecordWriter

    from recbole_symcere.run.quick_start import run_recbole

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(RecordWriter, "write", full)
    run_recbole("LightGCN", "small", config_dict={**small, "run_dir": "run"})
    assert caplog.text.count("tensorboard can't be written") == 1
    assert "Traceback" not in capsys.readouterr().err


def mounted(tmp_path, size):
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(command, check=False).returncode:
        pytest.skip("nothing can be mounted here")
    return place


@pytest.mark.slow
@pytest.mark.parametrize("size", ["16k", "100k", "200k", "400k", "800k"])
def test_a_real_disk_that_is_full(small, tmp_path, size):
    place = mounted(tmp_path, size)
    try:
        words = [f"--{key}={value}" for key, value in {**small, "epochs": 30}.items()]
        done = subprocess.run(
            [sys.executable, str(ROOT / "run_recbole_symcere.py"), "--model=SymCERE",
             "--dataset=small", f"--run_dir={place}/run", *words],
            env={**os.environ, "PYTHONPATH": str(ROOT)}, text=True,
            capture_output=True, check=False,
        )  # fmt: skip
        assert "Traceback" not in done.stdout + done.stderr
        assert "Logging error" not in done.stderr
        assert done.returncode in {0, 2}
        if done.returncode:
            assert "No space left on device; free some space" in done.stderr
    finally:
        subprocess.run(["umount", "-l", str(place)], check=False)


# --- signals -------------------------------------------------------------------------------------

SLOW = """
import sys, time
import recbole_symcere.cli as cli
def slow(words):
    try:
        print("there", flush=True)
        for _ in range(600):  # a signal just before a sleep begins doesn't end it
            time.sleep(0.1)
    finally:
        print("cleaning", flush=True)
        end = time.monotonic() + {clean}
        while time.monotonic() < end:
            try:
                time.sleep(1)
            except KeyboardInterrupt:  # as a library may
                pass
cli._run = slow
sys.exit(cli.main())
"""


TITLE = r"(recbole_symcere [\d.]+: \w+\n)?"
"""What a command says first where the machine is so busy that its start takes long."""


def started(words, clean=0.0, hang_up=signal.SIG_DFL):
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW.format(clean=clean), *words],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        preexec_fn=lambda: signal.signal(signal.SIGHUP, hang_up),  # whatever these tests run under
    )  # fmt: skip
    assert process.stdout.readline() == "there\n"
    return process


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_each_signal_ends_with_a_message_and_its_own_status(number, status):
    process = started(["--model=BPR"])
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert process.returncode == status
    assert re.fullmatch(rf"{TITLE}\ninterrupted\n", err)
    assert out == "cleaning\n"


@pytest.mark.parametrize(
    ("command", "then"),
    [
        ("convert", "; nothing was written; start the conversion again"),
        ("compare", "; the same command goes on with the comparison"),
        ("audit", ""),
        ("report", ""),
    ],
)
def test_each_command_says_how_to_go_on(command, then):
    process = started([command])
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=20)
    assert re.fullmatch(rf"{TITLE}\ninterrupted{then}\n", err)


def test_further_signals_end_at_once_without_a_traceback():
    process = started([], clean=60)
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "cleaning\n"
    for _ in range(3):
        process.send_signal(signal.SIGINT)
        time.sleep(0.02)
    try:
        _, err = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "Traceback" not in err


def test_a_hang_up_that_is_ignored_stays_so():
    process = started([], hang_up=signal.SIG_IGN)  # as nohup
    process.send_signal(signal.SIGHUP)
    time.sleep(0.2)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == 143


@pytest.mark.parametrize("finished", [False, True])
def test_an_interrupted_run_names_its_folder_if_it_can_go_on(small, monkeypatch, capsys, finished):
    from recbole_symcere.cli import main
    from recbole_symcere.run.trainer import Resumable

    end_of_epoch = Resumable._finish_epoch

    def interrupted(self, best):
        if finished:
            end_of_epoch(self, best)
        raise KeyboardInterrupt

    monkeypatch.setattr(Resumable, "_finish_epoch", interrupted)
    monkeypatch.setattr(Resumable, "_save_checkpoint", lambda *_, **__: None)
    words = [f"--{key}={value}" for key, value in small.items()]
    assert main(["--model=SymCERE", "--dataset=small", *words]) == 130
    said = capsys.readouterr().err
    (run,) = [path for path in Path("runs").iterdir() if (path / "config.yaml").is_file()]
    hint = f"; --resume={run} goes on after the last finished epoch"
    assert said.endswith(f"\ninterrupted{hint if finished else ''}\n")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("command", ["run", "compare", "tune"])
def test_a_real_signal_in_each_long_command(small, number, command):
    own = [f"--{key}={value}" for key, value in {**small, "epochs": 3000}.items()]
    own += ["--stopping_step=5000"]
    if command != "run":
        tuned = ("--max_length", "--embedding", "--train_batch_size")
        own = [word for word in own if not word.startswith(tuned)]
    words = {
        "run": ["--model=SymCERE", "--dataset=small", "--run_dir=out"],
        "compare": ["compare", "--models=BPR,LightGCN", "--datasets=small", "--seeds=0,1",
                    "--jobs=2", "--out=out"],
        "tune": ["tune", "--model=BPR", "--dataset=small", "--num_samples=3", "--out=out"],
    }[command]  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "run_recbole_symcere.py"), *words, *own],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    going = {"run": "out/checkpoint/last.safetensors", "tune": "out/search.json",
             "compare": "out/runs/small"}[command]  # fmt: skip
    while not Path(going).exists() and process.poll() is None:
        time.sleep(0.1)
    time.sleep(8 if command == "tune" else 2)
    process.send_signal(number)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + number, said
    then = {"run": "--resume=out goes on", "tune": "tune --resume=out goes on",
            "compare": "the same command goes on"}[command]  # fmt: skip
    assert f"interrupted; {then}" in said
    assert "Traceback" not in said
