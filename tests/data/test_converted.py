"""What convert writes is what RecBole reads."""

import csv

import pytest
from small_data import small_rows

from recbole_symcere.convert.convert_command import main
from recbole_symcere.plugin.config import Config
from recbole_symcere.run.prepare import read_dataset


@pytest.mark.parametrize("model", ["SymCERE", "BPR"])
def test_ids_with_quote_marks(small, tmp_path, model):
    def odd(name):
        """One of several spellings, no two of which stand for one name."""
        return (f'"{name}"', f'{name}"', f'"{name}', f'{name[0]}"{name[1:]}', name)[
            int(name[1:]) % 5
        ]

    rows = [(odd(u), odd(i), *rest) for u, i, *rest in small_rows()]
    with (tmp_path / "r.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("user_id", "item_id", "rating", "timestamp", "text"), *rows])
    words = ["generic", f"--input={tmp_path / 'r.csv'}", "--name=odd", f"--output_dir={tmp_path}"]
    main(words)
    dataset = read_dataset(Config(model, "odd", config_dict=small | {"data_path": str(tmp_path)}))
    for field, n in (("user_id", 0), ("item_id", 1)):
        ids = dataset.inter_feat[field].tolist()
        assert set(dataset.id2token(field, ids)) == {row[n] for row in rows}
