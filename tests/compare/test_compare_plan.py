"""Which rows and runs a comparison is made of, before anything is trained."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch
from scipy.sparse import csr_matrix
from small_data import small_rows, write_rows

from recbole_symcere.base.errors import InputError
from recbole_symcere.compare.compare_command import _notice as notice_of
from recbole_symcere.compare.compare_options import checked_options
from recbole_symcere.compare.named_rows import named_rows
from recbole_symcere.compare.plan import checked_tasks
from recbole_symcere.compare.rows import plan_rows
from recbole_symcere.model.catalogue_words import item_words
from recbole_symcere.plugin.config import Config
from recbole_symcere.run.prepare import read_dataset, split_dataset
from recbole_symcere.text.lexical import LexicalSpace, telling_words


def tasks_of(small, given, settings=(), files=()):
    options = checked_options({"datasets": "small", "seeds": "0,1", "out": "out", **given})
    wanted = {key: small[key] for key in ("data_path", "cache_dir", "epochs")} | dict(settings)
    tasks = checked_tasks(options, plan_rows(options, wanted, files), wanted, files)
    return {task.row.label: task for task in tasks}


def parts_of(settings):
    rest = dict(settings)
    config = Config(rest.pop("model"), rest.pop("dataset"), config_dict=rest)
    return split_dataset(config, read_dataset(config))


# --- random splits -------------------------------------------------------------------------------


@pytest.fixture
def untimed(small, small_folder, tmp_path):
    """Settings for "small" as it is where nothing is known of the order of its interactions."""
    folder = shutil.copytree(small_folder, tmp_path / "untimed")
    notice = "small has no times"
    (folder / "small" / "manifest.json").write_text(
        json.dumps({"order": "unknown", "notice": notice})
    )
    return {**small, "data_path": str(folder)}


def split_of(settings):
    """The pairs of each part of complete settings."""
    return [
        set(zip(*(part.inter_feat[f].tolist() for f in ("user_id", "item_id")), strict=True))
        for part in parts_of(settings)
    ]


@pytest.mark.parametrize("given", [{}, {"split_seed": 5}])
def test_a_search_and_all_seeds_share_one_random_split(untimed, given):
    pytest.importorskip("ray")
    asked = {"models": "BPR,EASE", "tune": "2", "untrained": "False"}
    tasks = tasks_of(untimed, asked, given)
    searched = split_of(tasks["BPR"].search.fixed)
    assert [len(part) for part in searched] == [144, 24, 24]
    for task in tasks.values():
        assert task.settings["split_seed"] == given.get("split_seed", 0)
        for seed in (0, 1, 7):
            assert split_of({**task.settings, "seed": seed}) == searched
    other = {**tasks["BPR"].settings, "split_seed": 1}
    assert split_of(other) != searched


def test_a_split_by_time_needs_no_seed(small):
    assert tasks_of(small, {"models": "EASE,Pop"})["EASE"].settings["split_seed"] is None


def test_the_tables_of_a_random_split_say_that_seeds_share_it(small, untimed, tmp_path):
    asked = {"models": "EASE,Pop"}
    said = "All seeds here, and their search, share the split of split_seed 3."
    task = tasks_of(untimed, asked, {"split_seed": 3})["EASE"]
    assert notice_of(task) == f"small has no times. {said}"
    Path(untimed["data_path"], "small", "manifest.json").unlink()
    by_chance = {"eval_args": {"order": "RO"}, "split_seed": 3}
    assert notice_of(tasks_of(untimed, asked, by_chance)["EASE"]) == said
    found = {**asked, "tuned_by": found_file(tmp_path, ("EASE", '{"reg_weight": 7.0}'))}
    told = notice_of(tasks_of(untimed, found, by_chance)["EASE"])
    assert told.startswith("All seeds here share the split of split_seed 3. The settings have to")
    assert notice_of(tasks_of(small, asked)["EASE"]) == "small and SYNTHETIC"


# --- settings that another comparison has found --------------------------------------------------


def found_file(tmp_path, *rows):
    """A runs.csv of (row, tuned) on small."""
    lines = [{"dataset": "small", "row": row, "seed": seed, "trials": "4", "tuned": tuned}
             for row, tuned in rows for seed in (0, 1)]  # fmt: skip
    pd.DataFrame(lines).to_csv(tmp_path / "runs.csv", index=False)
    return str(tmp_path / "runs.csv")


def test_found_settings_are_taken_in_place_of_a_search(small, tmp_path):
    file = found_file(
        tmp_path,
        *(("EASE", '{"reg_weight": 7.0}'), ("BPR", '{"learning_rate": 0.02}'), ("Pop", None)),
        ("BPR, blended", '{"learning_rate": 0.03}'),
    )
    asked = {"models": "EASE,BPR,Pop", "blended": "EASE,BPR", "untuned": "EASE", "tuned_by": file}
    tasks = tasks_of(small, asked)
    own = {"EASE": 7.0, "EASE, blended": 7.0}  # trials have no blend: one search for both
    assert {label: task.found.settings["reg_weight"] for label, task in tasks.items()
            if label in own} == own  # fmt: skip
    rates = [tasks[label].found.settings["learning_rate"] for label in ("BPR", "BPR, blended")]
    assert rates == [0.02, 0.03]
    assert {task.found.trials for task in tasks.values() if task.found} == {4}
    assert all(tasks[x].found is None for x in ("EASE, as given", "Pop", "WordKNN", "Stack"))
    assert not any(task.search for task in tasks.values())
    told = {**asked, "tune": "2"}
    searched = [label for label, task in tasks_of(small, told).items() if task.search]
    assert searched == ["WordKNN"]  # the others have found settings, or nothing to tune


def test_what_has_no_found_settings_is_searched_if_that_is_asked_for(small, tmp_path):
    pytest.importorskip("ray")
    file = found_file(tmp_path, ("EASE", '{"reg_weight": 7.0}'))
    asked = {"models": "EASE,BPR", "tuned_by": file, "untrained": "False"}
    tasks = tasks_of(small, {**asked, "tune": "2"})
    assert [bool(task.search) for task in tasks.values()] == [False, True]
    with pytest.raises(InputError, match=r"has no settings for BPR on small\. Search them with"):
        tasks_of(small, asked)


def test_a_control_of_a_model_takes_no_settings_of_its_text(small, tmp_path):
    """Its own search would have had other text, too."""
    file = found_file(tmp_path, ("SymCERE", '{"alpha": 0.1}'))
    asked = {"models": "SymCERE", "tuned_by": file, "untrained": "False"}
    assert tasks_of(small, asked)["SymCERE"].found.settings == {"alpha": 0.1}
    with pytest.raises(InputError, match="no settings for SymCERE, shuffled text on small"):
        tasks_of(small, {**asked, "text_control": "shuffled"})


@pytest.mark.parametrize(
    ("tuned", "settings", "message"),
    [
        ('{"reg_weight": 7', {}, "no settings and trials of EASE on small that can be read"),
        ("3", {}, "no settings and trials of EASE on small that can be read"),
        ("{}", {}, "no settings and trials of EASE on small that can be read"),
        ("[" * 100_000, {}, "no settings and trials of EASE on small that can be read"),
        ('{"reg_wait": 7}', {}, r"runs\.csv, EASE on small: .*reg_wait.*reg_weight"),
        ('{"reg_weight": "much"}', {}, r"runs\.csv, EASE on small: .*reg_weight"),
        ('{"reg_weight": 7}', {"reg_weight": 5}, "reg_weight is tuned in .* and also given"),
        # what would change the meaning of a score, or the model
        ('{"cold_items": 0.3}', {}, "cold_items can't be tuned"),
        ('{"text_control": "shuffled"}', {}, "text_control can't be tuned"),
        ('{"model": "Pop"}', {}, "model can't be tuned"),
        ('{"seed": 3}', {}, "seed can't be tuned"),
        ('{"blend": ["all"]}', {}, "blend can't be tuned"),
    ],
)  # fmt: skip
def test_found_settings_that_cannot_be_are_refused(small, tmp_path, tuned, settings, message):
    file = found_file(tmp_path, ("EASE", tuned))
    asked = {"models": "EASE", "tuned_by": file, "untrained": "False"}
    with pytest.raises(InputError, match=message):
        tasks_of(small, asked, settings)


def test_a_file_without_found_settings_is_refused(small, tmp_path):
    asked = {"models": "EASE", "untrained": "False"}
    with pytest.raises(InputError, match=r"none\.csv can't be read: .*No such file"):
        tasks_of(small, {**asked, "tuned_by": "none.csv"})
    file = found_file(tmp_path, ("EASE", '{"reg_weight": 7.0}'), ("EASE", '{"reg_weight": 8.0}'))
    with pytest.raises(InputError, match="two kinds of settings for EASE on small"):
        tasks_of(small, {**asked, "tuned_by": file})
    Path("marked.csv").write_bytes(b"\xef\xbb\xbf" + Path(file).read_bytes())  # by a spreadsheet
    with pytest.raises(InputError, match="two kinds of settings for EASE on small"):
        tasks_of(small, {**asked, "tuned_by": "marked.csv"})
    Path("settings.yaml").write_text("reg_weight: 5.0\n")
    file = found_file(tmp_path, ("EASE", '{"reg_weight": 7.0}'))
    with pytest.raises(InputError, match=r"reg_weight is tuned in .* and also given"):
        tasks_of(small, {**asked, "tuned_by": file}, files=["settings.yaml"])
    Path("table.csv").write_text("dataset,row,model\nsmall,EASE,EASE\n")
    with pytest.raises(InputError, match=r"table\.csv has no column trials\. Name the runs\.csv"):
        tasks_of(small, {**asked, "tuned_by": "table.csv"})


# --- text ----------------------------------------------------------------------------------------


def test_rows_that_read_words_by_their_blend_have_controls(small):
    asked = {"models": "BPR", "blended": "BPR", "text_control": "shuffled"}
    controls = {label for label in tasks_of(small, asked) if label.endswith(", shuffled text")}
    assert controls == {f"{row}, shuffled text" for row in ("BPR, blended", "WordKNN", "Stack")}
    few = {**asked, "untrained": "False"}
    found = tasks_of(small, few)["BPR, blended, shuffled text"]
    assert (found.settings["blend"], found.settings["text_control"]) == (["all"], "shuffled")
    # a blend for every row, with words and without
    given = {"models": "BPR,EASE", "untrained": "False", "text_control": "shuffled"}
    labels = tasks_of(small, given, {"blend": "[words_20, knn_10]"})
    assert list(labels) == ["BPR", "EASE", "BPR, shuffled text", "EASE, shuffled text"]
    with pytest.raises(InputError, match="none of BPR, EASE reads text"):
        tasks_of(small, given, {"blend": "[knn_10]"})


def test_a_control_of_a_blend_takes_the_search_of_the_row_without(small):
    pytest.importorskip("ray")
    asked = {"models": "EASE", "blended": "EASE", "text_control": "shuffled", "tune": "2"}
    tasks = tasks_of(small, {**asked, "untrained": "False"})
    searches = [task.search for task in tasks.values()]
    assert len(searches) == 3
    assert searches[0] == searches[1] == searches[2]


def test_a_control_of_a_blend_needs_reviews(small, tmp_path):
    shutil.copytree(Path(small["data_path"], "small"), tmp_path / "bare" / "small")
    (tmp_path / "bare" / "small" / "small.reviews.parquet").unlink()
    bare = {**small, "data_path": str(tmp_path / "bare")}
    with pytest.raises(InputError, match="text_control is 'shuffled', but BPR reads no text"):
        tasks_of(bare, {"models": "BPR", "blended": "BPR", "text_control": "shuffled"})


def test_a_control_of_a_blend_has_other_words(small):
    tasks = tasks_of(small, {"models": "BPR", "blended": "BPR", "text_control": "shuffled"})
    for row in ("BPR, blended", "Stack"):
        own, others = (
            item_words(parts_of(tasks[x].settings)[0]) for x in (row, f"{row}, shuffled text")
        )
        assert own.shape[1]
        assert own.shape[0] == others.shape[0]
        assert not torch.equal(own, others)


@pytest.mark.parametrize("word", ["", " ", "good"])
def test_what_nobody_has_named_is_left_out_where_no_words_tell_items_apart(
    small, tmp_path, capsys, word
):
    write_rows(tmp_path / "data", "small", [(*row[:4], word) for row in small_rows()])
    mute = {**small, "data_path": str(tmp_path / "data")}
    asked = {"models": "Pop,BPR", "text_control": "shuffled", "blended": "BPR"}
    given = {key: value for key, value in asked.items() if key == "models"}
    tasks = tasks_of(mute, given)
    assert list(tasks) == ["Pop", "BPR", "SequentialRules", "Stack"]
    said = "small  WordKNN: left out, no words of reviews tell the items apart"
    assert said in capsys.readouterr().out
    assert list(tasks_of(mute, asked)) == [
        *("Pop", "BPR", "BPR, blended", "SequentialRules", "Stack"),
        "BPR, blended, shuffled text",
    ]
    left = ["Pop", "BPR", "SequentialRules"]
    assert list(tasks_of(mute, given, {"blend": "[words]"})) == left
    # who names it learns why it can't be
    if not word.strip():
        with pytest.raises(
            InputError, match="All training reviews of small are empty, but WordKNN"
        ):
            tasks_of(mute, {"models": "Pop,WordKNN"})


def test_words_tell_items_apart_where_a_space_of_them_has_a_dimension():
    for words in (
        [],
        ["good"] * 12,
        ["a b", "a b", *["c"] * 5],  # two words of two of seven
        ["a b", "a b", *["c"] * 4],  # and of six
        ["a", "a", "b", "b", *["c"] * 8],
        [f"own{n}" for n in range(12)],
    ):
        columns = sorted({word for text in words for word in text.split()})
        counts = csr_matrix(
            [[float(word in text.split()) for word in columns] for text in words] or (0, 0)
        )
        assert (len(telling_words(counts)) > 1) == (LexicalSpace(counts, 256).rows.shape[1] > 0)


# --- names of rows -------------------------------------------------------------------------------

LABELS = ["LightGCN", "EASE", "LightGCN, blended", "SymCERE (NGCF)", "SymCERE (NGCF), w/o Norm"]


@pytest.mark.parametrize(
    ("given", "groups"),
    [
        ("EASE,LightGCN", [("EASE",), ("LightGCN",)]),
        ("LightGCN, blended", [("LightGCN, blended",)]),
        ("LightGCN,blended", [("LightGCN, blended",)]),
        ('["LightGCN, blended", EASE]', [("LightGCN, blended",), ("EASE",)]),
        ("EASE/LightGCN, blended,LightGCN", [("EASE", "LightGCN, blended"), ("LightGCN",)]),
        ("LightGCN, blended/EASE, EASE", [("LightGCN, blended", "EASE"), ("EASE",)]),
        (
            "SymCERE (NGCF), w/o Norm/SymCERE (NGCF), LightGCN, blended",
            [("SymCERE (NGCF), w/o Norm", "SymCERE (NGCF)"), ("LightGCN, blended",)],
        ),
        ("[]", []),
    ],
)
def test_rows_are_named_by_whole_labels(given, groups):
    base = {"models": "A", "datasets": "a,b", "seeds": "0,1", "out": "out"}
    assert named_rows(checked_options({**base, "against": given}).against, LABELS) == groups


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["LightGCN", "blend"], "against names 'blend', which is not among the rows: LightGCN, EA"),
        (["EASE/"], "against names '', which is not"),
        (["EASE//LightGCN"], "against names '', which is not"),
        (["EASEs"], "against names 'EASEs', which is not"),
        (["EASE", "LightGCN", "blended", "EASE"], "against names EASE twice"),
        (["EASE/LightGCN", "EASE/LightGCN"], "against names EASE/LightGCN twice"),
    ],
)
def test_names_that_no_row_has_are_refused(given, message):
    with pytest.raises(InputError, match=message):
        named_rows(given, LABELS)


def test_a_row_whose_label_has_a_comma_can_be_named():
    asked = {"models": "EASE", "blended": "EASE", "datasets": "small,other"}
    options = checked_options({**asked, "seeds": "0,1", "out": "o", "against": "EASE, blended"})
    assert "EASE, blended" in [row.label for row in plan_rows(options, {}, [])]
