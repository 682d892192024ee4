"""One run that most tests explain."""

import pytest
from explain.planted import train
from tiny_models import tiny_llama


@pytest.fixture(scope="session")
def planted_run(tmp_path_factory, cache_folder):
    # its words are single tokens, and a mean of them forgets none
    encoder = tiny_llama(tmp_path_factory.mktemp("whole_words") / "llama")
    settings = {"cache_dir": cache_folder, "text_encoder": encoder, "embedding_size": 16}
    return train(tmp_path_factory.mktemp("planted"), settings)
