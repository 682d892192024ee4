"""Texts that say nothing, to find out whether a model profits from what the reviews say."""

from typing import get_args

import numpy as np
import pyarrow as pa

from recbole_symcere.text.text_options import TextControl

__all__ = ["controlled"]

_CONSTANT = "review"


def controlled(texts: pa.Array, control: TextControl, seed: int) -> pa.Array:
    """Replace texts as the control says; an empty text stays empty in all of them.

    * shuffled: the texts change places, so each is real but belongs to another row;
    * constant: one and the same word everywhere;
    * random: all words are dealt anew over the texts, each keeping its number of words. In a
      language without blanks a text is one word, so this is the same as shuffled.

    Args:
        texts: strings [n].
        control: "none" returns the texts.
        seed: of the permutation.

    Raises:
        ValueError: for another control.
    """
    if control not in get_args(TextControl):
        raise ValueError(f"control is {control!r}, expected one of {get_args(TextControl)}")
    if control == "none":
        return texts
    given = np.array(texts.to_pylist(), dtype=object)
    present = np.flatnonzero([bool(text and text.strip()) for text in given])
    rng = np.random.default_rng(seed)
    result = given.copy()
    if control == "constant":
        result[present] = _CONSTANT
    elif control == "shuffled":
        result[present] = given[rng.permutation(present)]
    else:
        words = [text.split() for text in given[present]]
        dealt = rng.permutation(np.array([word for text in words for word in text], dtype=object))
        ends = np.cumsum([len(text) for text in words])[:-1]
        result[present] = [" ".join(part) for part in np.split(dealt, ends)]
    return pa.array(result, type=pa.string())
