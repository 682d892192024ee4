import polars as pl
import pytest

from recbole_symcere.base.errors import InputError
from recbole_symcere.convert.convert_command import main
from recbole_symcere.convert.language import language_mix
from recbole_symcere.convert.stats import count_stats

HEADER = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
ROWS = [("u", "i", 5, 0, "two words"), ("u", "i", 4, 86_400, "two words"),
        ("v", "j", 3, 172_800, ""), ("v", "i", 3, 86_400, "The one and only")]  # fmt: skip


def data_set(folder, rows=ROWS, name="d", part=""):
    (folder / name).mkdir(exist_ok=True)
    stem = folder / name / f"{name}{part}"
    lines = ("\t".join(map(str, row[:4])) + "\n" for row in rows)
    stem.with_name(stem.name + ".inter").write_text(HEADER + "".join(lines))
    table = pl.DataFrame(
        [(row[0], row[1], row[4]) for row in rows],
        schema=["user_id", "item_id", "text"],
        orient="row",
    )
    table.write_parquet(stem.with_name(stem.name + ".reviews.parquet"))
    return folder / name


def test_the_figures_of_a_data_set(tmp_path):
    stats = count_stats(data_set(tmp_path))
    assert (stats.users, stats.items, stats.reviews) == (2, 2, 4)
    assert stats.repeated_pairs == 1
    assert stats.repeated_texts == 1
    assert stats.empty_texts == 1
    assert stats.density == 3 / 4
    assert stats.words_per_review == pytest.approx((2 + 2 + 4) / 3)
    assert (stats.first_time, stats.last_time) == (0, 172_800)


def test_words_are_those_of_the_language(tmp_path):
    texts = ["房间很干净,早餐", "朝食も", "l'hôtel 10/10", ""]  # 4 + 2 + 4 words
    rows = [(f"u{n}", "i", 5, n, text) for n, text in enumerate(texts)]
    assert count_stats(data_set(tmp_path, rows)).words_per_review == pytest.approx(10 / 3)


def test_benchmark_parts_count_together_and_texts_may_be_missing(tmp_path):
    data_set(tmp_path, ROWS[:2], part=".train")
    folder = data_set(tmp_path, ROWS[2:], part=".test")
    assert count_stats(folder).reviews == 4
    for path in folder.glob("*.parquet"):
        path.unlink()
    assert count_stats(folder).languages == {}


def test_stats_stand_next_to_table_1(tmp_path, capsys):
    presets = tmp_path / "presets"
    presets.mkdir()
    (presets / "d.yaml").write_text("convert: {table1: {users: 4, reviews: 2}}")
    data_set(tmp_path)
    assert main(["stats", "--name=d", f"--output_dir={tmp_path}"], presets) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["users", "2", "Table", "1:", "4", "difference", "-2", "(-50.0%)"]
    assert lines[2].split() == ["items", "2", "Table", "1:", "not", "known", "to", "us"]
    assert lines[3].split()[-2:] == ["+2", "(+100.0%)"]
    assert "1970-01-01 to 1970-01-03" in "\n".join(lines)
    assert "English" in "\n".join(lines)


def test_a_data_set_without_a_preset_has_no_table(tmp_path, capsys):
    data_set(tmp_path)
    main(["stats", "--name=d", f"--output_dir={tmp_path}"])
    assert "Table 1" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--name=none"], "--name: there is no data set .*none"),
        ([], "--name=... is missing"),
    ],
)
def test_what_is_not_there_is_refused(tmp_path, arguments, message):
    with pytest.raises(InputError, match=message):
        main(["stats", f"--output_dir={tmp_path}", *arguments])


def test_files_that_are_something_else_are_refused(tmp_path):
    folder = data_set(tmp_path)
    (folder / "d.reviews.parquet").write_bytes(b"nonsense")
    with pytest.raises(InputError, match=r"d\.reviews\.parquet: cannot be read as reviews"):
        count_stats(folder)
    (folder / "d.inter").write_text("a:token\tb:token\n1\t2\n")
    with pytest.raises(InputError, match=r"d\.inter: there is no column 'user_id'; found a, b"):
        count_stats(folder)
    (folder / "d.inter").write_bytes(b"a:token\n1\t2\t3\n")
    with pytest.raises(InputError, match=r"d\.inter: cannot be read as RecBole's table"):
        count_stats(folder)


def test_the_language_mix():
    mix = language_mix(
        pl.Series(
            ["The room was very clean and quiet", "Das Zimmer war sehr sauber und ruhig",
             "La chambre est très propre et le lit bon", "部屋がとても広かったです", "房间非常干净",
             "방이 아주 깨끗했어요", "Номер очень чистый", "wow", ""]
        )
    )  # fmt: skip
    assert set(mix) == {
        "English", "German", "French", "Japanese", "Chinese", "Korean",
        "Russian or another in Cyrillic", "unknown",
    }  # fmt: skip
    assert sum(mix.values()) == pytest.approx(1)
