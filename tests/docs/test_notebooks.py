"""The notebooks run from top to bottom, with few epochs and a tiny text encoder."""

import pytest
from docs.material import DOCS

nbformat = pytest.importorskip("nbformat")
NOTEBOOKS = sorted((DOCS / "notebooks").glob("*.ipynb"))
SHORT = {
    "first_run": 'general = {{"epochs": 2}}\ntexts = {{"max_length": 16, "text_encoder": "{}"}}',
    "explanations": 'settings = {{"epochs": 2, "max_length": 16, "text_encoder": "{}"}}\n'
    "n, n_lime = 60, 3",
}


def notebook(path):
    return nbformat.read(path, as_version=4)


def parameters(book):
    """The one cell whose values a short run has otherwise, by the tag that papermill knows."""
    (cell,) = [cell for cell in book.cells if "parameters" in cell.metadata.get("tags", ())]
    return cell


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path, tiny_encoder, tmp_path):
    nbclient = pytest.importorskip("nbclient")
    book = notebook(path)
    cell = parameters(book)
    cell.source += "\n" + SHORT[path.stem].format(tiny_encoder)
    nbclient.NotebookClient(
        book, timeout=600, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    ).execute()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_outputs(path):
    book = notebook(path)
    nbformat.validate(book)
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    assert code
    assert not any(cell.outputs or cell.execution_count for cell in code)
    assert path.stem in SHORT
