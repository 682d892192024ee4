"""The tutorials of docs/ are followed, block by block, so that they can't rot."""

import shutil

import pytest
from docs.material import DOCS, MAKE_REVIEWS, write_amazon_2018, write_yelp
from docs.tutorial import Reader, assert_said, blocks_of
from tiny_models import tiny_llama, tiny_roberta

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::ResourceWarning")

# A short run reads and trains little.
REPLACED = {
    "--num_samples=12": "--num_samples=2",
    "--seeds=0,1,2": "--seeds=0,1",
    "--n=200": "--n=8",
    "--dataset=yelp": "--dataset=mine",
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
QUICK = ["own_reviews", "moving_and_resuming"]
SLOW = ["yelp_and_amazon", "tune", "reading_report", "lora", "ray_and_gpus", "drop_in"]


@pytest.fixture(scope="session")
def decoder(tmp_path_factory):
    return tiny_llama(tmp_path_factory.mktemp("encoder") / "llama")


@pytest.fixture(scope="session")
def roberta(tmp_path_factory):
    return tiny_roberta(tmp_path_factory.mktemp("encoder") / "roberta")


@pytest.fixture
def reader(tiny_encoder, roberta, decoder, tmp_path, capfd):
    """Somebody in a folder with what the tutorials start from."""
    shutil.copy(MAKE_REVIEWS, tmp_path)
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
