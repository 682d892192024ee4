"""The tutorials of docs/ are followed, block by block, so that they can't rot."""

import shutil

import pytest
from docs.material import DOCS, EXAMPLE, MAKE_REVIEWS, write_amazon_2018, write_yelp
from docs.tutorial import Reader, assert_said, blocks_of
from tiny_models import tiny_llama, tiny_roberta

from recbole_symcere.cli import main

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::ResourceWarning")

# A short run reads and trains little, and the bundled sample is a small one in it.
SMALL = ["--n_users=60", "--n_items=60", "--n_reviews=600"]
REPLACED = {
    "--num_samples=12": "--num_samples=2",
    "--seeds=0,1,2": "--seeds=0,1",
    "--n=200": "--n=8",
    "--max_length=128": "--max_length=16",
    "--users=u001": "--users=u01",
    "--user=u001": "--user=u01",
    "--item=i1130": "--item=i17",
}
TEXT = ["--text_encoder=TINY", "--max_length=16"]
APPENDED = {
    "": ["--epochs=2"],
    "SymCERE": TEXT,
    "SymCEREPlus": [*TEXT, "--lexical_size=8"],
    "tune": ["--epochs=2"],
    "tune SymCEREPlus": [*TEXT, "--lexical_size=8"],
    "compare": ["--epochs=2", *TEXT, "--lexical_size=8"],
    "explain lime": ["--n_samples=40"],
    "explain anchor": ["--n_control=8", "--n_gradients=2", "--n_retrieval=8"],
    "after/run.py": ["--epochs=2", "--text_encoder=TINY", "--lexical_size=8"],
}
QUICK = ["own_reviews"]
SLOW = ["yelp_and_amazon", "tune", "reading_report", "lora", "ray_and_gpus", "drop_in"]
SLOW += ["moving_and_resuming"]


@pytest.fixture(scope="session")
def decoder(tmp_path_factory):
    return tiny_llama(tmp_path_factory.mktemp("encoder") / "llama")


@pytest.fixture(scope="session")
def roberta(tmp_path_factory):
    return tiny_roberta(tmp_path_factory.mktemp("encoder") / "roberta")


@pytest.fixture(scope="session")
def sample(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sample")
    assert main(["convert", "synthetic", "--name=yelp", f"--output_dir={folder}", *SMALL]) == 0
    return folder


@pytest.fixture
def reader(sample, tiny_encoder, roberta, decoder, tmp_path, capfd):
    """Somebody in a folder with what the tutorials start from."""
    shutil.copy(MAKE_REVIEWS, tmp_path)
    shutil.copytree(EXAMPLE, tmp_path, dirs_exist_ok=True)
    shutil.copytree(sample, tmp_path / "dataset_atomic")
    write_yelp(tmp_path / "Yelp-JSON.zip")
    write_amazon_2018(tmp_path / "Gift_Cards_5.json.gz", tmp_path / "meta_Gift_Cards.json.gz")
    here = {"TINY": tiny_encoder, "hyp1231/blair-roberta-base": roberta,
            "sbintuitions/sarashina2.2-0.5b": decoder}  # fmt: skip
    replaced = {f"--text_encoder={name}": f"--text_encoder={path}" for name, path in here.items()}

    def short(word):
        return replaced.get(word, word)

    appended = {group: [*map(short, words)] for group, words in APPENDED.items()}
    return Reader(capfd, REPLACED | replaced, appended)


@pytest.mark.parametrize("name", [*QUICK, *(pytest.param(n, marks=pytest.mark.slow) for n in SLOW)])
def test_a_tutorial_can_be_followed(name, reader):
    reader.follow((DOCS / "tutorials" / f"{name}.md").read_text())


def test_every_tutorial_is_followed():
    written = {path.stem for path in (DOCS / "tutorials").glob("*.md")} - {"index"}
    assert written == {*QUICK, *SLOW}


# --- the reader itself ----------------------------------------------------------------------------

SHOWN = """\
<!-- status: 2 -->
```console
$ recbole-symcere recommend --run=nowhere
error: --run=nowhere: there is no such folder. Name a run's: runs/ID.
```
"""


def test_shown_lines_must_be_said(reader):
    reader.follow(SHOWN)
    with pytest.raises(AssertionError, match="shows\nerror: --run=elsewhere"):
        reader.follow(SHOWN.replace("error: --run=nowhere", "error: --run=elsewhere"))
    with pytest.raises(AssertionError, match="ended with 2"):
        reader.follow(SHOWN.replace("status: 2", "status: 0"))


def test_options_of_what_is_not_run_are_looked_up(reader):
    text = "<!-- not run: hours -->\n```console\n$ recbole-symcere {}\n$ nvidia-smi --any\n```\n"
    reader.follow(text.format("tune --model=BPR --dataset=big --num_samples=9 --epochs=3"))
    for wrong in ("tune --model=BPR --dataset=big --sample=9", "--model=SymCERE --depth=2"):
        with pytest.raises(AssertionError, match="unknown"):
            reader.follow(text.format(wrong))


def test_numbers_and_ids_may_differ():
    assert_said("   1  lamp-07   3.1", "c1\n  10  tent-12  -0.25\n")
    assert_said("epoch 1 loss 2.5 ...", "epoch   0  loss 4.8082 (rank 4.6423)")
    with pytest.raises(AssertionError):
        assert_said("epoch 1 loss 2.5", "epoch   0  loss 4.8082 (rank 4.6423)")


def test_blocks_and_their_commands():
    found = blocks_of("a\n<!-- not run: x -->\n```sh\n# no\nls \\\n  -l\n```\n```text\nb\n```\n")
    assert [(b.kind, b.mark, b.line) for b in found] == [("sh", "not run: x", 2), ("text", "", 8)]
    assert [words.split() for words, _ in found[0].commands()] == [["ls", "-l"]]
