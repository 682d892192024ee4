"""RecBole's Dataset on pandas 3, and its unstable sort."""

import warnings
from collections.abc import Callable
from functools import wraps
from types import ModuleType, SimpleNamespace
from typing import Any

__all__ = ["dataset_shims"]


def dataset_shims(module: ModuleType) -> None:
    """Mend `recbole.data.dataset.dataset.Dataset` for pandas 3.

    * pandas 3 ignores ``column.fillna(inplace=True)``: missing values would stay (no issue yet);
    * the same for the empty cells of sequence columns, as they are read;
    * pandas 3 breaks ``Series.agg(len)`` on sequence columns (no issue yet);
    * repeated pairs are sorted by an unstable sort before the first or last is kept.
    """
    import pandas as pd

    dataset = module.Dataset
    if int(pd.__version__.split(".")[0]) >= 3:
        dataset._fill_nan = _fill_nan
        dataset._concat_remaped_tokens = _concat_tokens
        dataset._remap = _remap
        dataset._load_feat = _with_filled_sequences(module, dataset._load_feat)
        # pandas 3 gives read-only arrays, of which RecBole makes tensors that it only reads
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
    dataset._remove_duplication = _remove_duplication


def _with_filled_sequences(module: ModuleType, load: Callable[..., Any]) -> Callable[..., Any]:
    """Give an empty cell of a sequence column the empty text, and don't tell of the line that does.

    RecBole splits each cell at its blanks; a missing one would be no text to split.
    """

    @wraps(load)
    def loaded(self: Any, filepath: str, source: Any) -> Any:
        pandas = module.pd

        def read_csv(*args: Any, **options: Any) -> Any:
            frame = pandas.read_csv(*args, **options)
            for column in frame:
                if str(column).endswith("_seq"):
                    frame[column] = frame[column].fillna("")
            return frame

        module.pd = SimpleNamespace(read_csv=read_csv)  # type: ignore[attr-defined]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", pandas.errors.ChainedAssignmentError)
                return load(self, filepath, source)
        finally:
            module.pd = pandas  # type: ignore[attr-defined]

    return loaded


def _fill_nan(self: Any) -> None:
    """`Dataset._fill_nan` by assignment: PAD (0) for tokens, the mean for floats."""
    import numpy as np

    for name in self.feat_name_list:
        feat = getattr(self, name)
        for field in feat:
            kind = self.field2type[field].value
            if kind == "token":
                feat[field] = feat[field].fillna(0)
            elif kind == "float":
                feat[field] = feat[field].fillna(feat[field].mean())
            else:
                empty = np.array([], dtype=np.int64 if kind == "token_seq" else np.float64)
                values = [empty if isinstance(x, float) else x for x in feat[field]]
                feat[field] = _sequences(values, feat.index)


def _sequences(values: list[Any], index: Any) -> Any:
    """A pandas column that holds one array per row."""
    import numpy as np
    import pandas as pd

    column = np.empty(len(values), dtype=object)
    for row, value in enumerate(values):
        column[row] = value
    return pd.Series(column, index=index)


def _concat_tokens(self: Any, remap_list: list[Any]) -> tuple[Any, Any]:  # noqa: ARG001 # a method
    """`Dataset._concat_remaped_tokens` without ``Series.agg(np.concatenate)``."""
    import numpy as np

    tokens = [
        np.asarray(feat[field], dtype=object)
        if kind.value == "token"
        else np.concatenate([np.asarray(x, dtype=object) for x in feat[field]])
        for feat, field, kind in remap_list
    ]
    return np.concatenate(tokens), np.cumsum([len(part) for part in tokens])[:-1]


def _remap(self: Any, remap_list: list[Any]) -> None:
    """`Dataset._remap` without ``Series.agg(len)``."""
    import numpy as np
    import pandas as pd

    if not remap_list:
        return
    if all(isinstance(feat[field].dtype, pd.StringDtype) for feat, field, _ in remap_list):
        ids, names, split_point = _numbered([feat[field] for feat, field, _ in remap_list])
    else:
        tokens, split_point = self._concat_remaped_tokens(remap_list)
        ids, names = pd.factorize(tokens)
    tokens_of = np.array(["[PAD]", *names])
    ids_of = {name: number for number, name in enumerate(tokens_of)}
    for (feat, field, kind), new_ids in zip(
        remap_list, np.split(ids + 1, split_point), strict=True
    ):
        self.field2id_token.setdefault(field, tokens_of)
        self.field2token_id.setdefault(field, ids_of)
        if kind.value == "token":
            feat[field] = new_ids
        else:
            ends = np.cumsum([len(x) for x in feat[field]])[:-1]
            feat[field] = _sequences(np.split(new_ids, ends), feat.index)


def _numbered(columns: list[Any]) -> tuple[Any, list[str], Any]:
    """`pandas.factorize` of columns of words, without a Python object for each cell.

    Returns:
        The number of each cell, -1 for a missing one; the words in order of appearance; where one
        column ends and the next begins.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    words = [pa.array(column, pa.large_string(), from_pandas=True) for column in columns]
    chunks = [chunk for one in words for chunk in getattr(one, "chunks", [one])]
    encoded = pa.chunked_array(chunks, pa.large_string()).combine_chunks().dictionary_encode()
    ids = pc.fill_null(encoded.indices, -1).to_numpy().astype(np.int64)
    ends = np.cumsum([len(column) for column in columns])[:-1]
    return ids, encoded.dictionary.to_pylist(), ends


def _remove_duplication(self: Any) -> None:
    """`Dataset._remove_duplication`, stably sorted: rows of one second keep the file's order."""
    keep = self.config["rm_dup_inter"]
    if keep is None:
        return
    self._check_field("uid_field", "iid_field")
    if self.time_field in self.inter_feat:
        self.inter_feat = self.inter_feat.sort_values(self.time_field, kind="stable")
    else:
        self.logger.warning(
            f"TIME_FIELD [{self.time_field}] isn't loaded, so rm_dup_inter={keep} goes by the "
            "order of the file."
        )
    pair = [self.uid_field, self.iid_field]
    self.inter_feat = self.inter_feat.drop_duplicates(subset=pair, keep=keep)
