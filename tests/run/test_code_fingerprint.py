"""A finished run is known by what the code says, wherever it stands."""

import pytest

from recbole_symcere.run.code_fingerprint import code_fingerprint

CODE = {
    "text/tokens.py": '''"""Tokens."""
import math

from recbole_symcere.base.errors import InputError

__all__ = ["count"]


def count(x):
    """How many."""
    from recbole_symcere.text.owners import owned
    return owned(x) + math.sqrt(2)  # why
''',
    "text/owners.py": "LIMIT = 3\nCLASS = 'recbole_symcere.text.owners.Owner'\n",
    "explain/words.py": "WORDS = 1\n",
}


def written(folder, files):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return code_fingerprint(folder)


def moved(files):
    """All of it in one file of another room, in another order."""
    imports = "from recbole_symcere.graph.places import InputError\n"
    return {"graph/all.py": imports + files["text/owners.py"] + files["text/tokens.py"]}


@pytest.mark.parametrize(
    "change",
    [
        moved,
        lambda files: {**files, "explain/words.py": "WORDS = 2\n"},
        lambda files: {**files, "text/new.py": '"""Nothing yet."""\n'},
        lambda files: {name: code.replace("How many.", "Number.") for name, code in files.items()},
        lambda files: {name: code.replace("  # why", "") for name, code in files.items()},
        lambda files: {n: c.replace("_symcere.text", "_symcere.words") for n, c in files.items()},
    ],
    ids=["moved", "beside", "docstring", "doc", "comment", "room"],
)
def test_place_and_words_do_not_count(tmp_path, change):
    assert written(tmp_path / "a", CODE) == written(tmp_path / "b", change(CODE))


@pytest.mark.parametrize(
    ("old", "new"), [("sqrt(2)", "sqrt(3)"), ("LIMIT = 3", "LIMIT = 4"), ("Owner", "Other")]
)
def test_what_the_code_does_counts(tmp_path, old, new):
    changed = {name: code.replace(old, new) for name, code in CODE.items()}
    assert written(tmp_path / "a", CODE) != written(tmp_path / "b", changed)


def test_the_packages_own_is_the_same_each_time():
    first = code_fingerprint()
    code_fingerprint.cache_clear()
    assert code_fingerprint() == first
