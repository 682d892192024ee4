"""A killed encoding goes on; whoever encodes, the file has the same bytes."""

import random
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_models import synthetic_texts, tiny_bert

from recbole_symcere.base.errors import StorageError
from recbole_symcere.text import vector_files
from recbole_symcere.text.encoder import TextEncoder, load_encoder
from recbole_symcere.text.executors import Threads, vectors_of
from recbole_symcere.text.tokens import TokenStore
from recbole_symcere.text.vectors import encoding_by, text_vectors

CPU = torch.device("cpu")
TEXTS = [*synthetic_texts(90), "", "  "]
SETTINGS = {
    "masked_views": 2, "mask_probability": 0.3, "seed": 5, "show_progress": False,
    "batch_tokens": 60,
}  # fmt: skip


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bert")
    backbone, tokenizer = load_encoder(str(tiny_bert(folder / "model")))
    return TextEncoder(backbone), tokenizer, TokenStore.open_or_build(TEXTS, tokenizer, 32, folder)


class Counting(Threads):
    """Counts the batches; ends like a killed process after some; deals them out shuffled."""

    def __init__(self, last=None, shuffled=False):
        super().__init__(CPU)
        self.n, self.last, self.shuffled = 0, last, shuffled

    def __call__(self, encoder, numbers, tokens):
        numbers = random.Random(1).sample(numbers, len(numbers)) if self.shuffled else numbers
        for number in numbers:
            if self.n == self.last:
                raise KeyboardInterrupt
            self.n += 1
            yield number, vectors_of(encoder, *tokens(number), CPU)


def encoded(bert, directory, executor=None, **changes):
    with encoding_by(executor) as accounts:
        vectors = text_vectors(*bert, directory=directory, **{**SETTINGS, **changes})
    return vectors, accounts


def contents(directory):
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_a_killed_encoding_goes_on_where_it_was(bert, tmp_path):
    _, accounts = encoded(bert, tmp_path / "whole", whole := Counting())
    assert [account.done.encoded for account in accounts] == [90, accounts[1].done.wanted]
    assert 90 < accounts[1].done.wanted < 180
    counts = []
    for last in (5, 9, 200, 200):
        executor = Counting(last)
        if last < 200:
            with pytest.raises(KeyboardInterrupt):
                encoded(bert, tmp_path / "cache", executor)
        else:
            _, accounts = encoded(bert, tmp_path / "cache", executor)
        counts.append(executor.n)
    assert counts == [5, 9, whole.n - 14, 0]
    assert [account.done.encoded for account in accounts] == [0, 0]
    assert contents(tmp_path / "cache") == contents(tmp_path / "whole")


@pytest.mark.parametrize("harm", ["vectors", "log", "torn log"])
def test_what_the_disk_lost_of_an_unfinished_file_is_encoded_again(bert, tmp_path, harm):
    encoded(bert, tmp_path / "whole", whole := Counting(), masked_views=0)
    with pytest.raises(KeyboardInterrupt):
        encoded(bert, tmp_path / "cache", Counting(6), masked_views=0)
    (folder,) = (tmp_path / "cache").iterdir()
    path = folder / ("vectors" if harm == "vectors" else "done")
    data = bytearray(path.read_bytes())
    assert len(data) == 6 * 24 or harm == "vectors"
    if harm == "vectors":
        data[next(n for n in range(400, len(data)) if data[n])] ^= 1  # behind the header
    elif harm == "log":
        data[20] ^= 1
    else:
        del data[-5:]
    path.write_bytes(data)
    encoded(bert, tmp_path / "cache", again := Counting(), masked_views=0)
    assert again.n == whole.n - 5
    assert contents(tmp_path / "cache") == contents(tmp_path / "whole")


def test_whoever_encodes_and_in_whatever_order_the_bytes_are_the_same(bert, tmp_path):
    encoded(bert, tmp_path / "threads")
    encoded(bert, tmp_path / "shuffled", Counting(shuffled=True))
    assert contents(tmp_path / "threads") == contents(tmp_path / "shuffled")


@pytest.mark.parametrize("threads", [1, 3, 64])
def test_the_bytes_do_not_tell_the_number_of_cores(bert, tmp_path, threads):
    encoded(bert, tmp_path / "one", Counting())
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        encoded(bert, tmp_path / "many")
    finally:
        torch.set_num_threads(before)
    assert contents(tmp_path / "one") == contents(tmp_path / "many")


def test_batches_of_another_size_are_begun_anew(bert, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        encoded(bert, tmp_path / "cache", Counting(6), masked_views=0)
    encoded(bert, tmp_path / "cache", other := Counting(), masked_views=0, batch_tokens=200)
    encoded(bert, tmp_path / "other", whole := Counting(), masked_views=0, batch_tokens=200)
    assert other.n == whole.n


def test_large_files_stay_on_the_disk(bert, tmp_path, monkeypatch):
    first, _ = encoded(bert, tmp_path / "cache")
    monkeypatch.setattr(vector_files, "_MAPPED", 0)
    mapped = [
        found for path in (tmp_path / "cache").iterdir() for name in ("original", "masked")
        if (found := vector_files.read_vectors(path, name, warn=False)) is not None
    ]  # fmt: skip
    assert [type(found) for found in mapped] == [np.memmap] * 2
    again, _ = encoded(bert, tmp_path / "cache")
    assert torch.equal(again.original, first.original)
    assert torch.equal(again.masked, first.masked)
    again.original[:] = 0  # whoever changes a tensor changes no file
    assert torch.equal(encoded(bert, tmp_path / "cache")[0].original, first.original)


def test_of_two_that_want_one_file_one_waits_for_the_other(bert, tmp_path):
    begun, go_on = threading.Event(), threading.Event()

    class Slow(Counting):
        def __call__(self, *given):
            for found in super().__call__(*given):
                begun.set()
                go_on.wait(20)
                yield found

    slow = threading.Thread(
        target=encoded, args=(bert, tmp_path / "cache", Slow()), kwargs={"masked_views": 0}
    )
    slow.start()
    assert begun.wait(20)
    second, found = Counting(), []
    waiting = threading.Thread(
        target=lambda: found.append(encoded(bert, tmp_path / "cache", second, masked_views=0))
    )
    waiting.start()
    waiting.join(0.3)
    assert waiting.is_alive()
    go_on.set()
    waiting.join(20)
    slow.join(20)
    ((vectors, accounts),) = found
    assert second.n == 0
    assert accounts[0].done.encoded == 0
    assert vectors.original.any()
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_a_full_disk_is_told_in_one_line(bert, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(vector_files.os, "pwrite", full)
    with pytest.raises(StorageError, match="No space left on device; free some space there"):
        encoded(bert, tmp_path / "cache")


def test_a_folder_that_another_process_removes_meanwhile_is_made_again(bert, tmp_path, monkeypatch):
    expected, _ = encoded(bert, tmp_path / "whole")
    make, gone = Path.mkdir, []

    def mkdir(self, *args, **kwargs):
        if self.suffix == ".unfinished" and not gone:
            gone.append(self)  # it was there a moment ago
            raise FileExistsError(17, "File exists", str(self))
        make(self, *args, **kwargs)

    monkeypatch.setattr(Path, "mkdir", mkdir)
    found, _ = encoded(bert, tmp_path / "raced")
    assert gone
    assert torch.equal(found.original, expected.original)
    assert contents(tmp_path / "raced") == contents(tmp_path / "whole")
