"""The command report: one page that stands alone."""

import base64
import html.parser
import json
import re

import pytest
import yaml
from explain.planted import train
from small_data import write_rows

from recbole_symcere.cli import main
from recbole_symcere.page.html_page import as_html
from recbole_symcere.page.page import Entry, Heading, Picture, TextTable, as_markdown

VOID = {"meta", "link", "img", "br"}


class Checker(html.parser.HTMLParser):
    """Tags in their order, and whether they are closed as they should be."""

    def __init__(self):
        super().__init__()
        self.open, self.problems, self.tags = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.problems.append(tag)


def checked(text):
    checker = Checker()
    checker.feed(text)
    assert not checker.problems
    assert not checker.open
    return checker.tags


@pytest.fixture(scope="module")
def run(tmp_path_factory, tiny_encoder, cache_folder):
    given = {"cache_dir": cache_folder, "text_encoder": tiny_encoder, "embedding_size": 8}
    folder = tmp_path_factory.mktemp("reported")
    path = train(folder, given, epochs=3)
    notice = {"notice": "made <up>", "source": "synthetic", "counts": {"users": 30}}
    (folder / "planted" / "manifest.json").write_text(json.dumps(notice))
    return path


@pytest.fixture(scope="module")
def page(run):
    (run / "explain" / "anchor").mkdir(parents=True)
    tests = [{"question": "Is it?", "holds": True}, {"question": "Was it?", "holds": None}]
    (run / "explain" / "anchor" / "anchor.json").write_text(json.dumps({"tests": tests}))
    (run / "explain" / "anchor" / "kinds.png").write_bytes(b"\x89PNG one")
    assert main(["report", f"--run={run}"]) == 0
    return (run / "report.html").read_text()


def test_it_needs_nothing_else(page):
    tags = checked(page)
    sources = [attrs["src"] for tag, attrs in tags if tag == "img"]
    for source in sources:
        assert base64.b64decode(source.removeprefix("data:image/png;base64,"))[:4] == b"\x89PNG"
    assert all(attrs["alt"] for tag, attrs in tags if tag == "img")
    assert not re.search(r"https?:|<script|@import|url\(", page)
    # three loss terms, validation, what anchor drew, and seven of the geometry
    assert len(sources) == 3 + 1 + 1 + 7


def test_it_holds_all_of_the_run(page, run):
    metrics = json.loads((run / "metrics.json").read_text())
    for part in ("valid", "test"):
        for value in metrics[part].values():
            assert f"<td>{value:.4f}</td>" in page
    settings = yaml.safe_load((run / "config.yaml").read_text())
    for key, value in settings.items():
        assert f'<th scope="row">{key}</th>' in page, (key, value)
    assert '<th scope="row">learning_rate</th><td>0.02</td>' in page
    for name, version in metrics["versions"].items():
        assert f'<th scope="row">{name}</th><td>{version}</td>' in page
    assert metrics["data_fingerprint"] in page
    assert "Note: made &lt;up&gt;" in page
    assert '<th scope="row">Is it?</th><td>yes</td>' in page
    assert '<th scope="row">Was it?</th><td>can&#x27;t be judged</td>' in page
    headings = re.findall(r"<h2>(.*?)</h2>", page)
    assert headings == [
        *("Metrics", "Training", "Explanation: anchor", "Geometry of the vectors"),
        *("Data set", "Settings", "Environment"),
    ]


def test_runs_of_other_models(small, tmp_path, capsys):
    path = train(tmp_path, small, model="Pop", epochs=1)
    assert main(["report", f"--run={path}", f"--out={tmp_path / 'x.html'}"]) == 0
    text = (tmp_path / "x.html").read_text()
    checked(text)
    assert "Not computed. --run=" in text
    assert "<h2>Data set</h2>" in text
    assert main(["report", f"--run={path}", "--geometry=False"]) == 0
    assert "Geometry" not in (path / "report.html").read_text()
    # changed data don't change what was measured
    write_rows(tmp_path, "planted", [("u", "i", 1.0, 5, "x")])
    assert main(["report", f"--run={path}"]) == 0
    capsys.readouterr()
    (path / "metrics.json").unlink()
    assert main(["report", f"--run={path}"]) == 2
    assert "the run hasn't finished, it has no metrics.json" in capsys.readouterr().err
    assert main(["report", "--run=nowhere"]) == 2
    assert "--run=nowhere: there is no such folder" in capsys.readouterr().err
    assert main(["report", "--help"]) == 0


def test_pages_in_markdown_and_html():
    parts = [
        Heading("A <b> & |", 1),
        Picture("p.png", b"png", 'says "so"'),
        TextTable(["x", "y|z"], [[Entry("a_b"), Entry("1", "best")]]),
    ]
    text = as_markdown(parts)
    assert r"# A \<b> \& \|" in text
    assert '![says "so"](p.png)' in text
    assert r"| a\_b | **1** |" in text
    page = as_html(parts, "T")
    checked(page)
    assert 'alt="says &quot;so&quot;"' in page
    assert "<h1>A &lt;b&gt; &amp; |</h1>" in page
