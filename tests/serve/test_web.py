"""The page and API of `serve`, on data whose ids, titles and reviews hold markup."""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_data import small_rows, small_settings, write_rows

from recbole_symcere.base.errors import InputError
from recbole_symcere.cli import main
from recbole_symcere.serve import serve_command
from recbole_symcere.serve.recommender import Recommender

WHY = "the extra recbole-symcere[serve] isn't installed"
fastapi_testclient = pytest.importorskip("fastapi.testclient", reason=WHY)
pytest.importorskip("uvicorn", reason=WHY)

ROOT = Path(__file__).parents[2]
MARKUP = "<img src=x onerror=alert(1)>"
USER = "u/0 <b>&?#"
PLANTED = "zzheldoutzz"


def marked_rows():
    """The small rows with markup; reviews of held-out interactions hold a word of their own."""
    rows = small_rows()
    last = {user: [row[3] for row in rows if row[0] == user][-2:] for user in {r[0] for r in rows}}
    return [
        (
            USER if user == "u0" else user,
            item,
            rating,
            time,
            f"{text} {PLANTED}" if time in last[user] else f"{text} {MARKUP}",
        )
        for user, item, rating, time, text in rows
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tiny_encoder, cache_folder):
    """A folder with runs of SymCERE and BPR."""
    own = tmp_path_factory.mktemp("served")
    data = write_rows(own / "data", "small", marked_rows())
    (data / "manifest.json").write_text("{}")
    items = [f"i{n}" for n in range(30)]
    titles = [f"{MARKUP} Title {n}" for n in range(30)]
    pq.write_table(pa.table({"item_id": items, "title": titles}), data / "small.items.parquet")
    settings = small_settings(own / "data", tiny_encoder, cache_folder, own)
    for model in ("SymCERE", "BPR"):
        given = {
            key: value for key, value in settings.items() if model == "SymCERE" or "max" not in key
        }
        words = [f"--{key}={value}" for key, value in given.items()]
        run_dir = own / model
        assert main([f"--model={model}", "--dataset=small", f"--run_dir={run_dir}", *words]) == 0
    return own


def views_of(folder, model):
    from recbole_symcere.serve.web_views import WebViews

    about = {"run": model, "model": model, "dataset": "small"}
    return WebViews(Recommender.load(folder / model), about)


def client_of(folder, model, **given):
    from recbole_symcere.serve.web_api import make_app

    return fastapi_testclient.TestClient(make_app(views_of(folder, model), **given))


@pytest.fixture(scope="module")
def client(folder):
    return client_of(folder, "SymCERE")


def get(client, name, status=200, **given):
    answer = client.get(f"/api/{name}", params=given)
    assert answer.status_code == status, answer.text
    return answer.json()


def test_a_list_is_that_of_recommend(folder, client):
    expected = Recommender.load(folder / "SymCERE").recommend(USER, 5)
    told = get(client, "recommend", user=USER, k=5)
    assert [row["item"] for row in told["items"]] == list(expected["item_id"])
    assert [row["score"] for row in told["items"]] == list(expected["score"])
    assert [row["title"] for row in told["items"]] == list(expected["title"])
    assert {tuple(row["words"]) for row in told["items"]} == {()}


def test_a_history_has_its_parts_and_reviews_of_training_alone(client):
    told = get(client, "history", user=USER)
    parts = [row["part"] for row in told["history"]]
    assert parts == ["train"] * 6 + ["valid", "test"]
    assert told["total"] == 8
    for row in told["history"]:
        assert (row["review"] or "").endswith(MARKUP) == (row["part"] == "train")
        assert row["title"].startswith(MARKUP)
    assert len(get(client, "history", user=USER, k=3)["history"]) == 3


def test_what_no_split_has_is_marked_in_a_history_and_in_no_list(folder, tmp_path):
    words = [f"--data_path={folder / 'data'}", f"--run_dir={tmp_path / 'run'}", "--epochs=1"]
    words += ["--val_interval={rating: '[3,inf)'}", f"--cache_dir={tmp_path / 'cache'}"]
    assert main(["--model=BPR", "--dataset=small", *words]) == 0
    client = client_of(tmp_path, "run")
    mine = [(item, rating) for user, item, rating, *_ in marked_rows() if user == USER]
    told = get(client, "history", user=USER)
    found = {row["item"]: row["part"] for row in told["history"]}
    assert found.keys() == {item for item, _ in mine}
    assert {item for item, part in found.items() if part == "left out"} == {
        item for item, rating in mine if rating < 3
    }
    assert told["history"][-1]["part"] == "left out"
    assert told["history"][-1]["review"] is None
    listed = {row["item"] for row in get(client, "recommend", user=USER, k=28)["items"]}
    assert listed == {item for _, item, *_ in marked_rows()} - found.keys()


def test_no_held_out_review_is_told_anywhere(client):
    for item in range(30):
        for name in ("item", "similar"):
            assert PLANTED not in json.dumps(get(client, name, item=f"i{item}"))
        assert PLANTED not in json.dumps(get(client, "why", user=USER, item=f"i{item}"))
    assert get(client, "find", text=PLANTED) == {"items": []}


def test_why_marks_the_shared_words_in_reviews_of_both(client):
    listed = get(client, "recommend", user=USER, k=10, why=True)["items"]
    assert any(row["words"] for row in listed)
    for row in listed:
        why = get(client, "why", user=USER, item=row["item"])
        assert why["words"][: len(row["words"])] == row["words"]
        assert all(one["user"] == USER for one in why["from_user"])
        assert all(one["item"] == row["item"] for one in why["from_item"])
        if why["words"]:
            for side in ("from_user", "from_item"):
                marked = {
                    piece["text"].casefold()
                    for one in why[side]
                    for piece in one["pieces"]
                    if piece["marked"]
                }
                assert marked
                assert marked <= set(why["words"])


def test_pieces_are_the_whole_review(client):
    texts = {(user, item): text for user, item, _, _, text in marked_rows()}
    for one in get(client, "why", user=USER, item="i3")["from_user"]:
        joined = "".join(piece["text"] for piece in one["pieces"])
        assert joined == texts[one["user"], one["item"]]


def test_typed_words_find_the_item_of_a_title(client):
    found = get(client, "find", text="title 17!", k=3)["items"]
    assert found[0]["item"] == "i17"
    assert "17" in found[0]["words"]
    assert get(client, "find", text="...") == {"items": []}


def test_users_and_items_are_searched(client):
    assert get(client, "users", q="U1")["found"][0] == "u1"
    assert get(client, "users", q="/0 <B>")["found"] == [USER]
    assert get(client, "users", q="%")["total"] == 0
    assert get(client, "items", q="i3")["found"][0]["item"] == "i3"
    assert get(client, "items", q="title 12")["found"][0]["item"] == "i12"
    told = get(client, "users", k=2)
    assert (len(told["found"]), told["total"]) == (2, 24)
    assert "[PAD]" not in json.dumps([get(client, "users", k=100), get(client, "items", q="PAD")])


def test_neighbours_are_those_of_similar(folder, client):
    recommender = Recommender.load(folder / "SymCERE")
    told = get(client, "similar", item="i4", k=5)
    assert [row["item"] for row in told["vectors"]] == list(
        recommender.similar("i4", 5)["similar_id"]
    )
    near = recommender.similar_by_words("i4", 5)
    assert [row["words"] for row in told["words"]] == [one.shared for one in near]


@pytest.mark.parametrize(
    ("name", "given", "status", "words"),
    [
        ("recommend", {"user": "u999"}, 404, "There is no user 'u999'"),
        ("history", {"user": "[PAD]"}, 404, "There is no user '[PAD]'"),
        ("similar", {"item": "x"}, 404, "There is no item 'x'"),
        ("item", {"item": "x"}, 404, "There is no item 'x'"),
        ("why", {"user": "u1", "item": "x"}, 404, "There is no item 'x'"),
        ("fold_in", {"item": "x"}, 404, "There is no item 'x'"),
        ("recommend", {"user": "u1", "k": 0}, 422, "k is '0': it should be greater"),
        ("recommend", {"user": "u1", "k": 101}, 422, "k is '101': it should be less"),
        ("recommend", {"user": "u1", "k": "ten"}, 422, "k is 'ten': it should be a valid integer"),
        ("recommend", {"user": "u1", "k": 31}, 422, "k is 31: there are 30 items"),
        ("similar", {"item": "i1", "k": 30}, 422, "k is 30: there are 29 items"),
        (
            "recommend",
            {"user": "u1", "k": [2, 3]},
            422,
            "k is given 2 times: '2', '3'. Give it once.",
        ),
        ("why", {"user": ["u1", "u1"], "item": "i1"}, 422, "user is given 2 times: 'u1', 'u1'."),
        ("recommend", {}, 422, "The parameter user is missing."),
        ("recommend", {"user": "u1", "K": 3}, 422, "There is no parameter 'K'"),
        ("recommend", {"user": "u" * 501}, 422, "it should have at most 500 characters"),
        ("find", {"text": "a" * 1001}, 422, "at most 1000 characters"),
        ("find", {"text": ""}, 422, "at least 1 character"),
        ("fold_in", {"item": ["i1"] * 51}, 422, "at most 50 items"),
        ("nothing", {}, 404, "Not Found"),
    ],
)
def test_refusals_are_in_words(client, name, given, status, words):
    told = get(client, name, status, **given)
    assert set(told) == {"detail"}
    assert words in told["detail"]
    assert len(told["detail"]) < 700


def test_picked_items_without_and_with_fold_in(folder):
    from recbole_symcere.serve.web_api import make_app

    views = views_of(folder, "SymCERE")
    recommender = views._recommender
    client = fastapi_testclient.TestClient(make_app(views))
    if not hasattr(Recommender, "fold_in"):
        assert not get(client, "about")["fold_in"]
        assert "wasn't trained on" in get(client, "fold_in", 501, item="i1")["detail"]
    asked = []

    def fold_in(history, k):
        asked.append((history, k))
        return recommender.recommend("u1", k)

    recommender.fold_in = fold_in
    told = get(client, "fold_in", item=["i1", "i2"], k=3)
    assert asked == [(["i1", "i2"], 3)]
    assert [row["item"] for row in told["items"]] == list(recommender.recommend("u1", 3)["item_id"])

    def cannot(history, k):
        raise InputError("SLMRec has no vectors")

    recommender.fold_in = cannot
    assert get(client, "fold_in", 501, item="i1") == {"detail": "SLMRec has no vectors"}


def test_answers_are_sent_at_once():
    # asyncio leaves Nagle's algorithm on where a socket doesn't tell its protocol: 40 ms an answer
    with serve_command.listening("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP


@pytest.mark.parametrize("method", ["post", "put", "delete", "patch"])
@pytest.mark.parametrize("path", ["/", "/api/about", "/api/recommend?user=u1"])
def test_nothing_but_get(client, method, path):
    assert getattr(client, method)(path).status_code == 405


class Loaded(HTMLParser):
    """What a page loads or runs."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        inline = [name for name in attrs if name.startswith("on") or name == "style"]
        assert not inline, (tag, inline)
        assert tag != "style"
        if tag == "script":
            assert "src" in attrs
        if tag in {"script", "link", "img", "iframe"}:
            self.found.append(attrs.get("src", attrs.get("href")))


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_a_page_needs_no_network_and_may_load_nothing_else(client, path):
    answer = client.get(path)
    page = Loaded()
    page.feed(answer.text)
    for place in page.found:
        assert place == "data:," or (place.startswith("/") and not place.startswith("//"))
        if place.startswith("/"):
            assert client.get(place).status_code == 200
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    assert "http" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_scripts_make_no_markup_of_texts():
    for file in (ROOT / "recbole_symcere/serve/web").glob("*.js"):
        for word in (
            "innerHTML",
            "outerHTML",
            "insertAdjacent",
            "document.write",
            "eval(",
            "http:",
        ):
            assert word not in file.read_text(encoding="utf-8"), (file, word)


def test_texts_travel_as_json_alone(client):
    answer = client.get("/api/history", params={"user": USER})
    assert answer.headers["content-type"] == "application/json"
    assert MARKUP not in client.get("/").text + client.get("/docs").text


def test_the_api_is_described(client):
    described = client.get("/openapi.json").json()
    assert {way for ways in described["paths"].values() for way in ways} == {"get"}
    listed = client.get("/docs").text
    for path, ways in described["paths"].items():
        assert f"<code>{path}</code>" in listed
        assert ways["get"]["description"]
        shape = ways["get"]["responses"]["200"]["content"]["application/json"]["schema"]["$ref"]
        assert shape.rpartition("/")[2] in described["components"]["schemas"]
    ks = [
        p
        for w in described["paths"].values()
        for p in w["get"].get("parameters", ())
        if p["name"] == "k"
    ]
    assert ks
    assert {(p["schema"]["minimum"], p["schema"]["maximum"]) for p in ks} == {(1, 100)}


def test_answers_are_of_the_shape_that_is_described(client):
    from pydantic import TypeAdapter

    from recbole_symcere.serve.web_api import _SHAPES

    given = {
        "recommend": {"user": USER, "why": True}, "history": {"user": USER},
        "find": {"text": "title"},
        "why": {"user": USER, "item": "i1"}, "item": {"item": "i1"}, "similar": {"item": "i1"},
    }  # fmt: skip
    for name in set(_SHAPES) - {"fold_in"}:
        told = get(client, name, **given.get(name, {}))
        assert TypeAdapter(_SHAPES[name]).validate_python(told, strict=True) == told


def test_other_names_of_this_host_are_refused(folder):
    client = client_of(folder, "SymCERE", hosts=frozenset({"localhost", "::1"}))
    for host, status in (
        ("localhost", 200), ("LOCALHOST:8000", 200), ("[::1]:8000", 200), ("evil.example", 421),
        ("", 421),
    ):  # fmt: skip
        assert client.get("/api/about", headers={"host": host}).status_code == status, host


def test_concurrent_requests_give_equal_answers(address):
    check_concurrency(address)


@pytest.mark.slow
def test_concurrent_requests_to_a_model_without_texts(folder):
    with served(folder / "BPR") as address:
        check_concurrency(address)


def check_concurrency(address):
    users = [USER, *(f"u{n}" for n in range(1, 24))]
    paths = [f"/api/recommend?{urllib.parse.urlencode({'user': u, 'why': True})}" for u in users]
    paths += [f"/api/similar?item=i{n}" for n in range(8)]
    paths += [f"/api/find?text=title+{n}" for n in range(8)]
    alone = [read(address + path) for path in paths]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(4):
            assert [*pool.map(lambda path: read(address + path), paths)] == alone


def read(address):
    with urllib.request.urlopen(address, timeout=30) as answer:
        return answer.read()


@pytest.fixture(scope="module")
def address(folder):
    """Where a run of SymCERE is served, for all the tests that only read."""
    with served(folder / "SymCERE") as place:
        yield place


@contextmanager
def served(run):
    """The address of the command in a process of its own."""
    command = [
        sys.executable,
        str(ROOT / "run_recbole_symcere.py"),
        "serve",
        f"--run={run}",
        "--port=0",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        limit = threading.Timer(120, server.kill)
        limit.start()
        try:
            lines = iter(server.stdout.readline, "")
            address = next(line.strip().rstrip("/") for line in lines if line.startswith("http"))
            limit.cancel()  # it has begun; what is asked of it has limits of its own
            yield address
        finally:
            limit.cancel()
            server.terminate()
    assert server.returncode == 143


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--run=nowhere"], "--run=nowhere: there is no such folder"),
        (["--run=RUN", "--port=TAKEN"], "another process has this port"),
        (["--run=RUN", "--port=65536"], "port"),
        (["--run=RUN", "--host=192.0.2.1"], "no address of this machine"),
        (["--run=RUN", "--host=no such host"], "no address of this machine"),
        (["--run=RUN", "--prot=1"], "Did you mean 'port'?"),
        (["--run=BARE"], "best.safetensors"),
    ],
)
def test_what_cannot_be_served_is_told_in_one_line(folder, tmp_path, capsys, given, message):
    bare = shutil.copytree(folder / "SymCERE", tmp_path / "bare")
    (bare / "checkpoint" / "best.safetensors").unlink()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        places = {"RUN": folder / "SymCERE", "BARE": bare, "TAKEN": taken.getsockname()[1]}
        for name, place in places.items():
            given = [word.replace(name, str(place)) for word in given]
        if not any(word.startswith("--port") for word in given):
            given.append("--port=0")
        assert main(["serve", *given]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_missing_packages_are_named(folder, monkeypatch, capsys):
    monkeypatch.setattr(serve_command, "find_spec", lambda name: None)
    assert main(["serve", f"--run={folder / 'SymCERE'}", "--port=0"]) == 2
    assert "pip install 'recbole-symcere[serve]'" in capsys.readouterr().err


# --- the page's script ---------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no Node")
def test_the_script_makes_text_of_all_that_a_run_holds(address, tmp_path):
    for file in (ROOT / "recbole_symcere/serve/web").glob("*.js"):
        text = file.read_text(encoding="utf-8").replace('"/parts.js"', '"./parts.mjs"')
        (tmp_path / file.name).with_suffix(".mjs").write_text(text, encoding="utf-8")
    views = [
        {"user": USER},
        {"item": "i3"},
        {"text": "title 17"},
        {"q": "u"},
        {"user": "nobody"},
        {},
    ]
    node = [shutil.which("node"), str(ROOT / "tests/serve/page_dom.mjs")]
    given = [str(tmp_path / "page.mjs"), address, *map(urllib.parse.urlencode, views)]
    ran = subprocess.run([*node, *given], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    user, item, words, searched, unknown, start, why, picked = json.loads(ran.stdout)
    for view in (user, item, words, searched, unknown, start, why, picked):
        assert not {"img", "b", "script"} & set(view["tags"])
    assert f"User {USER}" in user["text"]
    assert user["text"].count(MARKUP) == 10 + 8 + 6  # titles of the list and history, and reviews
    assert all(part in user["text"] for part in ("train", "valid", "test"))
    assert "Nearest by words" in item["text"]
    assert f"{MARKUP} Title 17" in words["text"]
    assert "u19" in searched["text"]
    assert "There is no user 'nobody'" in unknown["text"]
    assert "Begin with a user or an item" in start["text"]
    assert "mark" in why["tags"] or "no telling word" in why["text"]
    assert picked["title"] == "SymCERE on small"
    assert picked["hash"].startswith("#picked=i")
    assert "Recommended for somebody" in picked["text"] or "wasn't trained on" in picked["text"]


# --- in a browser --------------------------------------------------------------------------------


def chromium():
    """A Chromium: on PATH, or of playwright."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    found = [path for name in names if (path := shutil.which(name))]
    cache = Path(os.environ.get("PLAYWRIGHT_BROWSERS_PATH", Path.home() / ".cache/ms-playwright"))
    for name in ("chrome", "headless_shell", "chrome-headless-shell"):
        found += map(str, sorted(cache.glob(f"chromium*/*/{name}")))
    return found[0] if found else None


@pytest.mark.skipif(chromium() is None, reason="no Chromium on PATH or in playwright's folder")
@pytest.mark.parametrize(
    ("view", "there"),
    [
        ({}, ["SymCERE on small", "24 users, 30 items", "u1"]),
        ({"user": USER}, ["User u/0 &lt;b&gt;&amp;?#", "Recommended", "History", "train"]),
        ({"item": "i3"}, ["Nearest by words", "Reviews", "Title 3"]),
        ({"text": "title 17"}, ["Items by the words", "Title 17"]),
        ({"user": "nobody"}, ["There is no user 'nobody'"]),
    ],
    ids=["start", "user", "item", "words", "unknown"],
)
def test_in_a_browser(address, tmp_path, view, there):
    found = subprocess.run(
        [chromium(), "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom",
         f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=8000",
         f"{address}/#{urllib.parse.urlencode(view)}"],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    for text in there:
        assert text in found.stdout
    assert "<img" not in found.stdout
    if view and "nobody" not in view.values() and "text" not in view:
        assert "&lt;img src=x" in found.stdout
