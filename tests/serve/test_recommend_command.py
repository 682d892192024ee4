"""The command recommend: ids as they are written, empty lists, and what it refuses."""

import json
from pathlib import Path

import pytest
from small_data import small_rows, write_rows

from recbole_symcere.cli import main
from recbole_symcere.serve.recommender import Recommender

ODD_USERS = {"u0": "1", "u1": " 1", "u2": "7 ", "u3": "'q'", "u4": "a,b", "u5": "none"}
ODD_ITEMS = {"i0": "1", "i15": " 1", "i1": "x,y", "i16": "'i'"}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """EASE on users and items with blanks, quote marks and commas in their ids."""
    own = tmp_path_factory.mktemp("odd")
    rows = [
        (ODD_USERS.get(user, user), ODD_ITEMS.get(item, item), *rest)
        for user, item, *rest in small_rows()
    ]
    write_rows(own / "data", "odd", rows)
    words = [f"--data_path={own / 'data'}", f"--run_dir={own / 'run'}", "--show_progress=False"]
    assert main(["--model=EASE", "--dataset=odd", *words]) == 0
    return own / "run"


def recommend(capsys, run, *words, status=0):
    capsys.readouterr()
    assert main(["recommend", f"--run={run}", *words]) == status
    said = capsys.readouterr()
    return said.err if status else said.out


def lists(capsys, run, *words):
    """User -> ids of his list."""
    found = {}
    for row in json.loads(recommend(capsys, run, *words, "--json"))["lists"]:
        found.setdefault(row["user_id"], []).append(row["item_id"])
    return found


def expected(run, name, k=3):
    return Recommender.load(run).recommend([name], k)["item_id"].tolist()


@pytest.mark.parametrize("name", ODD_USERS.values())
def test_a_user_is_named_as_he_is_written(run, capsys, name):
    assert lists(capsys, run, f"--users={name}", "--k=3") == {name: expected(run, name)}
    Path("users.txt").write_text(f"u6\n{name}\n")
    assert [*lists(capsys, run, "--users_file=users.txt", "--k=3")] == ["u6", name]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("1,u6", ["1", "u6"]),
        (" 1,u6", [" 1", "u6"]),
        ("u6, 1", ["u6", " 1"]),
        ("u7, u6", ["u7", "u6"]),
        ("[u6, 'u7', \"u8\"]", ["u6", "u7", "u8"]),
        ("'q',u6", ["'q'", "u6"]),
        ("u6,u7,u6,'u7'", ["u6", "u7"]),
        (" u6 ", ["u6"]),
        (",u6,", ["u6"]),
    ],
)
def test_a_list_is_taken_apart_where_no_id_is_like_it(run, capsys, text, names):
    found = json.loads(recommend(capsys, run, f"--users={text}", "--k=2", "--json"))["lists"]
    assert [row["user_id"] for row in found] == [name for name in names for _ in range(2)]


@pytest.mark.parametrize("name", ODD_ITEMS.values())
def test_a_history_is_of_the_item_that_is_written(run, capsys, name):
    known = {
        item: Recommender.load(run).fold_in([item], k=3)["item_id"].tolist()
        for item in ("1", " 1", name)
    }
    assert known["1"] != known[" 1"]
    Path("history.txt").write_text(f"{name}\n")
    for how in (f"--history={name}", "--history_file=history.txt"):
        assert lists(capsys, run, how, "--k=3") == {"new": known[name]}


def test_a_file_of_items_is_of_those_that_are_written(run, capsys):
    Path("items.txt").write_text(" 1\n  i2\n")
    words = ["--users=u6", "--keep_seen=True", "--items_file=items.txt"]
    found = recommend(capsys, run, *words, "--out=lists.csv")
    assert found.startswith("2 rows of 1 users are in lists.csv")
    text = Path("lists.csv").read_text()
    assert '," 1",' in text
    assert ',"i2",' in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--users=x,u6"],
            "error: There is no user 'x'; the run knows 24 users. An id that holds a comma goes "
            "into a file, one id a line: --users_file=FILE.\n",
        ),
        (
            ["--history=x,y,q"],
            "error: There is no item 'x' and 2 more; the run knows 30 items. An id that holds a "
            "comma goes into a file, one id a line: --history_file=FILE.\n",
        ),
        (["--users=None"], "There is no user 'None'; the run knows 24 users."),
        (["--users="], "error: --users is empty. Write --users=VALUE, or leave it out.\n"),
        (["--users", ""], "error: --users is empty. Write --users=VALUE, or leave it out.\n"),
        (
            ["--users=,"],
            "error: users is ',', which names nothing. Write --users=A,B, or leave it out.\n",
        ),
        (["--users=[]"], "users is '[]', which names nothing."),
        (["--history= "], "history is ' ', which names nothing."),
        (["--history="], "--history is empty."),
        (["--text="], "--text is empty."),
        (["--ordered=True", "--text=good"], "--ordered tells of --history or --history_file; give"),
        (["--text=?!"], "error: text is '?!', without a word: give a text.\n"),
        (
            ["--history=1", "--history_file=a.txt"],
            "--history and --history_file name items both; give one of them.",
        ),
        (["--history_file=a.txt", "--users=1"], "--history and --text are of a new user"),
    ],
)
def test_what_names_nobody_is_refused(run, capsys, words, message):
    assert message in recommend(capsys, run, *words, status=2)


def test_no_hint_to_a_file_without_a_comma(run, capsys):
    assert "users_file" not in recommend(capsys, run, "--users=x", status=2)


def test_who_has_all_of_the_items_is_told_so(run, capsys):
    has = [i for u, i, *_ in small_rows() if u == "u6"]
    Path("items.txt").write_text("\n".join(has[:3]))
    words = ["--users=u6,u7,u8", "--items_file=items.txt"]
    said = recommend(capsys, run, *words)
    assert said.startswith("u6  (no list: he has each of the 3 items to choose from)\n\nu7\n")
    told = recommend(capsys, run, "--users=u7,u6", "--items_file=items.txt", "--out=lists.csv")
    assert told.splitlines()[1:] == [
        "1 users have no row: they have each of the 3 items to choose from"
    ]
    assert told.endswith("choose from\n")
    new = recommend(capsys, run, "--history_file=items.txt", "--items_file=items.txt")
    assert new == "new  (no list: he has each of the 3 items to choose from)\n\n"


def test_without_k_a_list_is_as_long_as_there_are_items(run, capsys):
    Path("items.txt").write_text("i2\ni3\n")
    words = ["--users=u6", "--items_file=items.txt", "--keep_seen=True"]
    assert len(lists(capsys, run, *words)["u6"]) == 2
    assert len(lists(capsys, run, "--users=u6")["u6"]) == 10
    assert "k is 3: expected 1 to 2, the number of items to choose from." in recommend(
        capsys, run, *words, "--k=3", status=2
    )
    loaded = Recommender.load(run)
    assert len(loaded.recommend("u6", items=["i2", "i3", "i4"], exclude_seen=False)) == 3
    assert len(loaded.recommend("u6")) == len(loaded.fold_in(["i2"])) == 10
    assert len(loaded.similar("i2")) == 10
