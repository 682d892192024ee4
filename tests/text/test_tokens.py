import copy
import json
import logging
import multiprocessing
import pickle
import shutil

import numpy as np
import pyarrow as pa
import pytest
from tiny_models import synthetic_texts, tiny_bert, tiny_llama, tiny_roberta

from recbole_symcere.base.errors import InputError
from recbole_symcere.text import token_files
from recbole_symcere.text.load import load_encoder
from recbole_symcere.text.tokenise import tokenizer_fingerprint
from recbole_symcere.text.tokens import KEPT, TokenStore, any_written, warn_of_unknown

TEXTS = [*synthetic_texts(40), "", "  \n", *synthetic_texts(5), "bala"]


@pytest.fixture(scope="module")
def bert_folder(tmp_path_factory):
    return tiny_bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="module")
def tokenizer(bert_folder):
    return load_encoder(bert_folder)[1]


@pytest.fixture(scope="module")
def llama_tokenizer(tmp_path_factory):
    return load_encoder(tiny_llama(tmp_path_factory.mktemp("llama")))[1]


@pytest.fixture
def store(tokenizer, tmp_path):
    return TokenStore.open_or_build(TEXTS, tokenizer, 16, tmp_path)


def test_tokens_are_the_tokenizers_own(store, tokenizer):
    batch = store.take(store.text_index)
    for row, text in enumerate(TEXTS):
        kept = batch.attention_mask[row]
        expected = tokenizer(text, truncation=True, max_length=16)
        if not text.strip():
            assert not kept.any()
            continue
        assert batch.input_ids[row][kept].tolist() == expected["input_ids"]
        words = [-1 if word is None else word for word in expected.word_ids()]
        assert batch.word_ids[row][kept].tolist() == words
        assert (batch.input_ids[row][~kept] == tokenizer.pad_token_id).all()
        assert (batch.word_ids[row][~kept] == -1).all()


def test_a_dictionary_of_texts_has_the_store_of_its_rows(tokenizer, tmp_path):
    numbers = pa.array([3, 1, 3, 0, 1, 4], pa.int32())
    texts = pa.array(["bala", "", "that no row has", "bala bala", " "], pa.large_string())
    encoded = pa.DictionaryArray.from_arrays(numbers, texts)
    found, plain = (
        TokenStore.open_or_build(rows, tokenizer, 16, tmp_path / name)
        for rows, name in ((encoded, "one"), (encoded.to_pylist(), "other"))
    )
    assert found.key == plain.key
    assert found.text_index.tolist() == plain.text_index.tolist() == [0, 1, 0, 2, 1, 3]
    assert any_written(encoded)
    assert not any_written(pa.DictionaryArray.from_arrays(numbers.take([1, 4, 5]), texts))


def test_batch_is_padded_on_the_right_to_its_longest(store):
    longest = int(store.lengths.argmax())
    for ids in ([0], [0, longest], [longest, 1, 1]):
        batch = store.take(np.array(ids))
        assert batch.input_ids.shape == (len(ids), store.lengths[ids].max())
        assert batch.attention_mask.sum(dim=1).tolist() == store.lengths[ids].tolist()
        assert (batch.attention_mask.int().diff(dim=1) <= 0).all()


def test_identical_texts_are_stored_once(store, tokenizer):
    assert len(store) == len(dict.fromkeys(TEXTS))
    assert store.text_index[0] == store.text_index[42]
    whole = TokenStore.open_or_build(TEXTS, tokenizer, KEPT, store.directory.parent)
    assert (store.directory / "ids.bin").stat().st_size == 2 * whole.lengths.sum()


def test_row_order_of_arrow_chunks_and_nulls(tokenizer, tmp_path):
    chunked = pa.chunked_array([pa.array(["bala", None]), pa.array(["dala", "bala"])])
    store = TokenStore.open_or_build(chunked, tokenizer, 16, tmp_path)
    assert store.text_index.tolist() == [0, 1, 2, 0]
    assert store.lengths[1] == 0
    same = TokenStore.open_or_build(["bala", "", "dala", "bala"], tokenizer, 16, tmp_path)
    assert same.key == store.key


def test_only_empty_texts(tokenizer, tmp_path):
    batch = TokenStore.open_or_build(["", " "], tokenizer, 16, tmp_path).take(np.array([0, 1]))
    assert batch.input_ids.shape == (2, 1)
    assert not batch.attention_mask.any()


def test_tokenizer_without_pad_token_pads_with_its_end_token(llama_tokenizer, tmp_path):
    store = TokenStore.open_or_build(["bala dala", "bala"], llama_tokenizer, 16, tmp_path)
    assert store.pad_token_id == llama_tokenizer.eos_token_id
    assert store.take(np.array([0, 1])).input_ids[1, -1] == llama_tokenizer.eos_token_id


def test_text_without_spaces_is_not_one_word(tokenizer, tmp_path):
    text = "bala" * 6  # one word for the tokenizer, as a Japanese sentence would be
    store = TokenStore.open_or_build([text, "bala dala"], tokenizer, 64, tmp_path)
    words = store.take(np.array([0])).word_ids[0, 1:-1].tolist()
    assert len(words) > 8
    assert words == list(range(len(words)))


def test_key_changes_with_texts_tokenizer_and_length(tokenizer, llama_tokenizer, tmp_path):
    def key(texts=("a b", "c"), tokenizer=tokenizer, max_length=16):
        return TokenStore.open_or_build(list(texts), tokenizer, max_length, tmp_path).key

    keys = [
        key(),
        key(("a b", "c", "a b")),
        key(("a b", "d")),
        key(("c", "a b")),
        key(("a b", "c", "c")),
        key(("a ", "bc")),
    ]
    keys += [key(max_length=513), key(tokenizer=llama_tokenizer)]
    assert len(set(keys)) == len(keys)
    assert key() == key(max_length=512) == keys[0]


@pytest.mark.parametrize("kind", ["bert", "roberta", "llama"])
@pytest.mark.parametrize("max_length", [4, 5, 7, 16, 511, 512, 600])
def test_what_is_cut_is_what_the_tokenizer_cuts(kind, max_length, tmp_path, request):
    tokenizer = request.getfixturevalue("llama_tokenizer" if kind == "llama" else "tokenizer")
    if kind == "roberta":
        tokenizer = load_encoder(tiny_roberta(tmp_path / "roberta"))[1]
    texts = ["bala dala " * n for n in (0, 1, 2, 3, 4, 9, 127, 255, 300)]
    store = TokenStore.open_or_build(texts, tokenizer, max_length, tmp_path)
    batch = store.take(store.text_index)
    for row, text in enumerate(texts[1:], 1):
        expected = tokenizer(text, truncation=True, max_length=max_length)
        kept = batch.attention_mask[row]
        assert batch.input_ids[row][kept].tolist() == expected["input_ids"]
        words = [-1 if word is None else word for word in expected.word_ids()]
        assert batch.word_ids[row][kept].tolist() == words
        assert store.lengths[row] == len(words)
        # of a text cut elsewhere, too
        alone = store.take(np.array([row]))
        assert alone.input_ids[0].tolist() == expected["input_ids"]
    assert len([path for path in tmp_path.iterdir() if (path / "ids.bin").exists()]) == 1


def test_a_tokenizer_that_cuts_at_the_beginning_does(bert_folder, tmp_path):
    tokenizer = load_encoder(bert_folder)[1]
    right = TokenStore.open_or_build(TEXTS, tokenizer, 7, tmp_path).key
    tokenizer.truncation_side = "left"
    store = TokenStore.open_or_build(TEXTS, tokenizer, 7, tmp_path)
    assert store.key != right
    batch = store.take(store.text_index)
    for row, text in enumerate(TEXTS):
        expected = tokenizer(text, truncation=True, max_length=7)["input_ids"]
        if text.strip():
            assert batch.input_ids[row][batch.attention_mask[row]].tolist() == expected


def test_a_tokenizer_whose_file_pads_closes_no_more_than_others(bert_folder, tmp_path):
    tokenizer = load_encoder(bert_folder)[1]
    tokenizer.backend_tokenizer.enable_padding(length=64)
    tokenizer.backend_tokenizer.enable_truncation(2)
    store = TokenStore.open_or_build(TEXTS, tokenizer, 7, tmp_path)
    assert store.meta["n_closing"] == 1
    expected = tokenizer(TEXTS[0], truncation=True, max_length=7, padding=False)["input_ids"]
    assert store.take(store.text_index[:1]).input_ids[0].tolist() == expected


def test_lengths_share_one_tokenisation(tokenizer, tmp_path, monkeypatch):
    TokenStore.open_or_build(TEXTS, tokenizer, 128, tmp_path)
    monkeypatch.setattr("recbole_symcere.text.tokens.tokenise", None)
    assert TokenStore.open_or_build(TEXTS, tokenizer, 9, tmp_path).lengths.max() == 9


def test_fingerprint_ignores_how_the_tokenizer_was_last_called(tokenizer):
    before = tokenizer_fingerprint(tokenizer)
    tokenizer(["bala", "bala dala"], truncation=True, max_length=7, padding=True)
    assert tokenizer_fingerprint(tokenizer) == before


def test_second_opening_does_not_tokenise(store, tokenizer, monkeypatch, tmp_path):
    monkeypatch.setattr("recbole_symcere.text.tokens.tokenise", None)
    again = TokenStore.open_or_build(TEXTS, tokenizer, 16, tmp_path)
    assert (again.take(np.arange(9)).input_ids == store.take(np.arange(9)).input_ids).all()


def _truncate(folder):
    (folder / "words.bin").write_bytes((folder / "words.bin").read_bytes()[:-2])


def _flip(folder):
    data = bytearray((folder / "ids.bin").read_bytes())
    data[4] ^= 1
    (folder / "ids.bin").write_bytes(data)


def _edit_meta(folder):
    meta = json.loads((folder / "meta.json").read_text())
    (folder / "meta.json").write_text(json.dumps({**meta, "pad_token_id": 3}))


def _remove(folder):
    (folder / "offsets.npy").unlink()


@pytest.mark.parametrize("harm", [_truncate, _flip, _edit_meta, _remove])
def test_damaged_store_is_built_again_with_a_warning(store, tokenizer, tmp_path, caplog, harm):
    expected = store.take(store.text_index)
    harm(store.directory)
    with caplog.at_level(logging.WARNING, logger="recbole_symcere"):
        mended = TokenStore.open_or_build(TEXTS, tokenizer, 16, tmp_path)
    assert "is damaged" in caplog.text
    for new, old in zip(mended.take(mended.text_index), expected, strict=True):
        assert (new == old).all()
    assert [path.name for path in tmp_path.iterdir()] == [store.key]


def test_pickle_carries_no_data(store):
    store.take(np.arange(len(store)))
    packed = pickle.dumps(store)
    assert len(packed) < 2000
    copy = pickle.loads(packed)  # noqa: S301 - written one line above
    assert (copy.lengths == store.lengths).all()
    assert (copy.take(np.arange(5)).input_ids == store.take(np.arange(5)).input_ids).all()


def _build(folder, directory, barrier, answers):
    from transformers import PreTrainedTokenizerFast  # quicker to import than a model

    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    barrier.wait()
    store = TokenStore.open_or_build(TEXTS, tokenizer, 16, directory)
    answers.put((store.key, int(store.take(store.text_index).input_ids.sum())))


@pytest.mark.slow  # the race itself is below, in one process
def test_two_processes_build_at_once(bert_folder, store, tmp_path):
    context = multiprocessing.get_context("spawn")
    barrier, answers = context.Barrier(2), context.Queue()
    directory = tmp_path / "shared"
    arguments = (bert_folder, directory, barrier, answers)
    workers = [context.Process(target=_build, args=arguments) for _ in range(2)]
    for worker in workers:
        worker.start()
    found = [answers.get(timeout=120) for _ in workers]
    for worker in workers:
        worker.join()
        worker.close()
    answers.close()
    answers.join_thread()
    assert found[0] == found[1]
    assert found[0][1] == int(store.take(store.text_index).input_ids.sum())
    assert [path.name for path in directory.iterdir()] == [found[0][0]]


def test_second_writer_discards_its_copy(store, tmp_path):
    target = tmp_path / "race" / store.key

    def chunks():
        shutil.copytree(store.directory, target)  # another process is done first
        yield np.array([1]), np.array([0]), np.array([1])

    token_files.write(target, chunks(), np.array([0]), {"pad_token_id": 0}, np.uint16)
    assert token_files.read_meta(target) == store.meta
    assert [path.name for path in target.parent.iterdir()] == [store.key]


def test_ids_out_of_range_are_refused(store):
    for wrong in (-1, len(store)):
        with pytest.raises(IndexError, match="text ids must lie in 0"):
            store.take(np.array([0, wrong]))


def test_length_without_room_for_a_word_is_an_input_error(tokenizer, tmp_path):
    with pytest.raises(InputError, match=r"max_length=2: expected more than 2"):
        TokenStore.open_or_build(["a"], tokenizer, 2, tmp_path)


def test_texts_that_are_not_strings_are_an_input_error(tokenizer, tmp_path):
    with pytest.raises(InputError, match=r"texts: .*Expected strings only"):
        TokenStore.open_or_build([1, "a"], tokenizer, 16, tmp_path)


@pytest.mark.parametrize("n_unknown", [0, 1, 6, 7, 60])
def test_a_tokenizer_that_knows_few_of_the_words_is_told(tokenizer, tmp_path, caplog, n_unknown):
    # 120 tokens, of which a special one never counts
    assert len(tokenizer("bala", add_special_tokens=False)["input_ids"]) == 2
    texts = ["bala " * n for n in range(1, 10)] + ["bala " * 15]
    texts[-1] = "bala " * 15 + "\u4eba" * n_unknown
    store = TokenStore.open_or_build(texts, tokenizer, 200, tmp_path)
    share = n_unknown / (2 * 60 + n_unknown)
    assert store.unknown_share == pytest.approx(share)
    assert copy.deepcopy(store).unknown_share == store.unknown_share
    warn_of_unknown(store, "the reviews")
    assert bool(caplog.text) == (n_unknown >= 7)


def test_what_is_said_of_unknown_tokens(tokenizer, tmp_path, caplog):
    store = TokenStore.open_or_build(["\u4eba\u4eba", "bala"], tokenizer, 16, tmp_path)
    warn_of_unknown(store, "the training reviews of zh")
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith(
        "50 % of the tokens of the training reviews of zh are unknown to "
    )
    assert "--text_encoder=sentence-transformers/paraphrase-multilingual" in caplog.messages[0]


def test_no_tokens_are_none_unknown(tokenizer, llama_tokenizer, tmp_path):
    assert TokenStore.open_or_build(["", " "], tokenizer, 16, tmp_path).unknown_share == 0
    llama_tokenizer.unk_token = None  # as of byte-level tokenizers
    store = TokenStore.open_or_build(["bala"], llama_tokenizer, 16, tmp_path)
    assert store.unknown_share == 0
