import os
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import random as random_sparse

from recbole_symcere.base.errors import InputError
from recbole_symcere.base.files import replacing
from recbole_symcere.plugin import checkpoint

LEAVES = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5)
LEAVES |= st.floats(allow_nan=False)
TREES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=3) | st.integers(0, 9), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(tree=TREES)
def test_any_tree_comes_back(tree, tmp_path_factory):
    path = tmp_path_factory.mktemp("tree") / "x.safetensors"
    checkpoint.save(path, {"tree": tree})
    assert checkpoint.load(path) == {"tree": tree}


def test_arrays_come_back_with_their_types(tmp_path):
    sparse = random_sparse(4, 5, 0.5, format="coo", rng=np.random.default_rng(0))
    shared = torch.arange(6.0).reshape(2, 3)
    state = {
        "view": shared.T,
        "same": shared,
        "scalar": torch.tensor(3, dtype=torch.int64),
        "bytes": torch.get_rng_state(),
        "array": np.arange(3, dtype=np.uint32),
        "matrix": np.asmatrix(np.eye(2)),
        "sparse": sparse,
        "number": np.float64(0.1),
        "inf": -np.inf,
    }
    checkpoint.save(tmp_path / "x", state)
    back = checkpoint.load(tmp_path / "x")
    for name in ("view", "same", "scalar", "bytes"):
        assert torch.equal(back[name], state[name])
        assert back[name].dtype == state[name].dtype
    assert back["array"].dtype == np.uint32
    assert isinstance(back["matrix"], np.matrix)
    assert (back["sparse"] != sparse.tocsr()).nnz == 0
    assert back["number"] == 0.1
    assert back["inf"] == -np.inf


def test_what_cannot_be_stored_is_named(tmp_path):
    with pytest.raises(TypeError, match=r"state\.a\.1, which is a set"):
        checkpoint.save(tmp_path / "x", {"a": [1, {2}]})
    assert not (tmp_path / "x").exists()


class Bomb:
    def __reduce__(self):
        return (os.mkdir, ("exploded",))


def test_a_pickle_is_never_read(tmp_path):
    (tmp_path / "x.pth").write_bytes(pickle.dumps(Bomb()))
    torch.save({"bomb": Bomb()}, tmp_path / "y.pth")
    for name in ("x.pth", "y.pth"):
        with pytest.raises(InputError, match="pickles can run code"):
            checkpoint.load(tmp_path / name)
    assert not (tmp_path / "exploded").exists()


def test_damage_is_reported(tmp_path):
    path = tmp_path / "x.safetensors"
    checkpoint.save(path, {"weights": torch.ones(100)})
    whole = path.read_bytes()
    for broken in (b"", whole[:50], whole[:-10]):
        path.write_bytes(broken)
        with pytest.raises(InputError, match="can't be read as a checkpoint"):
            checkpoint.load(path)
    with pytest.raises(InputError, match=r"no checkpoint .*gone"):
        checkpoint.load(tmp_path / "gone")


def test_a_foreign_safetensors_file_is_refused(tmp_path):
    from safetensors.torch import save_file

    save_file({"x": torch.ones(1)}, tmp_path / "x")
    with pytest.raises(InputError, match="format None"):
        checkpoint.load(tmp_path / "x")


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "x"
    path.write_text("old")
    with pytest.raises(RuntimeError), replacing(path) as aside:  # noqa: PT012 # the block is the test
        aside.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["x"]
