"""One text per item: from the data set's own item texts, else from the training reviews."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recbole_symcere.base.errors import InputError
from recbole_symcere.data.dataset import ReviewDataset
from recbole_symcere.text.load import load_tokenizer
from recbole_symcere.text.text_options import EncoderOptions
from recbole_symcere.text.tokens import TokenStore, any_written, warn_of_unknown

__all__ = ["item_file", "item_texts", "item_tokens", "warn_of_cut"]

_log = logging.getLogger(__name__)
_LOOKED_AT = 100  # items, for what is read of joined reviews


def item_file(dataset: ReviewDataset) -> Path:
    """Where the item texts of a data set lie, if it has any: titles, brands, categories."""
    return Path(dataset.dataset_path) / f"{dataset.dataset_name}.items.parquet"


def item_texts(dataset: ReviewDataset) -> tuple[pa.Array, str]:
    """The text of each item id, "" for none, and where the texts come from.

    ``<name>.items.parquet`` with columns item_id and text is taken where there is one. It may name
    items without any interaction. Otherwise an item's text is all its training reviews, joined.

    Args:
        dataset: the training split.

    Returns:
        Strings [n_items] and "items.parquet" or "training reviews".

    Raises:
        InputError: if the file can't be read, names an item twice, or no item has a text.
    """
    path = item_file(dataset)
    source = "items.parquet" if path.is_file() else "training reviews"
    texts = _of_file(path, dataset) if path.is_file() else dataset.training_item_texts()
    if not any_written(texts):
        raise InputError(
            f"No item of {dataset.dataset_name} has a text ({source}), but "
            f"{dataset.config['model']} learns from item texts. Write {path.name} with columns "
            "item_id and text, or convert the data set with its reviews."
        )
    return texts, source


def item_tokens(dataset: ReviewDataset, options: EncoderOptions) -> tuple[TokenStore, str]:
    """The tokens of the `item_texts`, kept in the cache, and where the texts come from.

    Args:
        dataset: the training split.
        options: whose tokenizer and length, and where the cache is.
    """
    texts, source = item_texts(dataset)
    tokenizer, folder = load_tokenizer(options.text_encoder), Path(options.cache_dir, "tokens")
    store = TokenStore.open_or_build(texts, tokenizer, options.max_length, folder)
    warn_of_unknown(store, f"the item texts of {dataset.dataset_name}")
    if source != "items.parquet":
        warn_of_cut(dataset, tokenizer, options.max_length)
    return store, source


def warn_of_cut(dataset: ReviewDataset, tokenizer: Any, max_length: int) -> None:
    """Say so if less than half of the joined training reviews is read.

    Args:
        dataset: the training split.
        tokenizer: of the text encoder.
        max_length: tokens read of an item's joined reviews, special ones included.
    """
    items = dataset.inter_feat[dataset.iid_field].numpy()
    known = np.unique(items)
    if len(known) > _LOOKED_AT:
        known = np.random.default_rng(0).choice(known, _LOOKED_AT, replace=False)
    order = dataset.order_of_time()
    order = order[np.isin(items[order], known)]
    texts = dataset.training_reviews().take(pa.array(order)).to_pylist()
    written = [place for place, text in enumerate(texts) if text.strip()]
    if not written:
        return
    tokens = tokenizer([texts[place] for place in written], add_special_tokens=False)["input_ids"]
    sizes, owner = np.array([len(one) for one in tokens]), items[order][written]
    room = max_length - tokenizer.num_special_tokens_to_add(pair=False)
    read = begun = 0
    for item in np.unique(owner):
        end = np.cumsum(sizes[owner == item])
        read += min(int(end[-1]), room)
        begun += int((end - sizes[owner == item] < room).sum())
    share = read / max(int(sizes.sum()), 1)
    if share < 0.5:
        n_items = len(np.unique(owner))
        _log.warning(
            f"item_text: joined: max_length={max_length} reads {100 * share:.0f} % of the items' "
            f"joined training reviews, {begun / n_items:.1f} of {len(sizes) / n_items:.1f} reviews "
            "an item, the oldest first. item_text: mean reads them all."
        )


def _of_file(path: Path, dataset: ReviewDataset) -> pa.Array:
    table = _read(path)
    items = table["item_id"].cast(pa.string()).combine_chunks()
    if len(pc.unique(items)) < len(items):
        seen: dict[Any, int] = {}
        for row, item in enumerate(items.to_pylist()):
            if item in seen:
                raise InputError(
                    f"{path}, data row {row + 1:,}: item_id {item!r} stands in data row "
                    f"{seen[item] + 1:,} too. Give each item one row."
                )
            seen[item] = row
    tokens = dataset.id2token(dataset.iid_field, np.arange(1, dataset.item_num))
    rows = pc.index_in(pa.array(tokens, pa.string()), value_set=items)
    texts = table["text"].cast(pa.string()).combine_chunks().take(rows)
    # id 0 is padding
    texts = pa.concat_arrays([pa.array([""], pa.string()), pc.fill_null(texts, "")])
    return dataset.controlled(texts)


def _read(path: Path) -> pa.Table:
    try:
        found = pq.read_schema(path).names
        missing = [column for column in ("item_id", "text") if column not in found]
        if missing:
            raise InputError(
                f"{path} has no column {', '.join(missing)}; it has {', '.join(found)}. Name the "
                "columns item_id and text."
            )
        return pq.read_table(path, columns=["item_id", "text"])
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path} can't be read as Parquet: {error}") from None
