"""Hidden states below the layers that are trained: computed once per text, in memory or a file.

Nothing below the cut learns and nothing is dropped there, so a text's hidden states are the same
at every step. They are kept as they were computed, in the model's float32.
"""

import logging
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from recbole_symcere.base.live_line import working
from recbole_symcere.base.storage import writing
from recbole_symcere.text.encode import make_plan
from recbole_symcere.text.encoder import TextEncoder
from recbole_symcere.text.executors import evaluating, on_threads
from recbole_symcere.text.free_memory import free_bytes
from recbole_symcere.text.masking import draw_words, mask_words_by_draws
from recbole_symcere.text.sub_batches import sub_batches, token_budget
from recbole_symcere.text.tokens import TokenStore

__all__ = ["KeptLayers"]

_LOG = logging.getLogger("recbole_symcere")
_SHARE = 0.5  # of the free memory, where no budget is given
_Ids = npt.NDArray[np.int64]


class KeptLayers:
    """Hidden states of a store's texts, and of masked copies of them, below an encoder's cut.

    They are computed when they are first asked for, in batches that depend on the texts alone, so
    that a run that goes on after a kill finds the same bits. The masked copies are fixed, as those
    of a frozen encoder are: ones that are drawn anew at each step could not be kept.

    Args:
        encoder: with a cut.
        tokenizer: the store's tokenizer, asked for its mask token.
        store: the texts.
        views: masked copies per text, >= 0.
        probability: chance of a word to be masked.
        seed: of the masking.
        memory: bytes that may be held in memory; what needs more goes to a file. None for half of
            what is free.
        directory: of that file, which nobody else sees and which goes with the process.
    """

    def __init__(
        self,
        encoder: TextEncoder,
        tokenizer: Any,
        store: TokenStore,
        *,
        views: int,
        probability: float,
        seed: int,
        memory: int | None,
        directory: Path,
    ) -> None:
        self._encoder, self._store, self._tokenizer = encoder, store, tokenizer
        self.views, self._probability, self._seed = views, probability, seed
        self._memory, self._directory = memory, directory
        self._rows: npt.NDArray[np.floating] | None = None
        self._starts: _Ids = np.zeros((1 + views, 0), dtype=np.int64)  # [1 + views, n_texts]

    def masked(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        word_ids: torch.Tensor,
        views: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The masked copies of texts.

        Args:
            input_ids: int64 [n, T], as the store gives them.
            attention_mask: see there, as for the words.
            word_ids: see there.
            views: int64 [n], which copy of each.

        Returns:
            Their input_ids and attention_mask [n, T].
        """
        ids, attention = input_ids.clone(), attention_mask.clone()
        for view in range(self.views):
            rows = torch.nonzero(views == view).flatten()
            batch = (input_ids[rows], attention_mask[rows], word_ids[rows])
            ids[rows], attention[rows] = self._masked(batch, view)
        return ids, attention

    def take(self, text_ids: _Ids, views: _Ids, lengths: _Ids) -> torch.Tensor:
        """Hidden states [b, T, d], T the longest of the texts; zeros after a text's end.

        Args:
            text_ids: [b].
            views: [b], number of the masked copy, or -1 for the text itself.
            lengths: [b], tokens.
        """
        if self._rows is None:
            self._rows = self._fill()
        shape = len(text_ids), int(lengths.max(initial=0)), self._rows.shape[1]
        found = np.zeros(shape, dtype=self._rows.dtype)
        for row, (start, length) in enumerate(
            zip(self._starts[views + 1, text_ids], lengths, strict=True)
        ):
            found[row, :length] = self._rows[start : start + length]
        return torch.from_numpy(found)

    def _masked(
        self, batch: tuple[torch.Tensor, torch.Tensor, torch.Tensor], view: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        draws, _ = draw_words(*batch[:2], self._seed, view)
        mask_id, pad_id = self._tokenizer.mask_token_id, self._store.pad_token_id
        return mask_words_by_draws(*batch, draws, self._probability, mask_id, pad_id)

    def _fill(self) -> npt.NDArray[np.floating]:
        cut, store = self._encoder.cut, self._store
        assert cut is not None
        masking = (self.views, self._probability, self._seed)
        plan = make_plan(store, self._tokenizer, None, *masking)
        lengths = np.asarray(store.lengths, dtype=np.int64)
        own = np.cumsum(lengths) - lengths
        self._starts = np.tile(own, (1 + self.views, 1))  # a copy without a masked word is the text
        total = int(lengths.sum())
        for view, changed in enumerate(plan.changed):
            sizes = lengths[changed]  # deletion shortens some
            self._starts[view + 1, changed] = total + np.cumsum(sizes) - sizes
            total += int(sizes.sum())
        weight = next(self._encoder.parameters())
        device, dtype = weight.device, torch.empty(0, dtype=weight.dtype).numpy().dtype
        model: Any = self._encoder.model
        rows = self._room(total, int(model.config.hidden_size), dtype)
        jobs = [
            (view, places)
            for view, chosen in enumerate((plan.order, *plan.changed), start=-1)
            for places in sub_batches(chosen, lengths, token_budget(device))
        ]
        with evaluating(self._encoder, device), cut.below() as below:

            def work(job: tuple[int, _Ids]) -> int:
                view, places = job
                batch = store.take(places)
                ids, mask = batch[:2] if view < 0 else self._masked(batch, view)
                tokens = {"input_ids": ids.to(device), "attention_mask": mask.long().to(device)}
                with torch.inference_mode():
                    hidden = below(**tokens).cpu().numpy()
                for row, place in enumerate(places):
                    start, length = self._starts[view + 1, place], int(mask[row].sum())
                    rows[start : start + length] = hidden[row, :length]
                return len(places)

            texts = sum(len(places) for _, places in jobs)
            with working("layers below the trained ones", texts, "texts") as shown:
                for done in on_threads(work, jobs, device):
                    shown.advance(done)
        return rows

    def _room(self, n: int, width: int, dtype: np.dtype[Any]) -> npt.NDArray[np.floating]:
        """An array [n, width], in memory if the budget allows it."""
        size = max(1, dtype.itemsize * n * width)
        budget = self._memory
        if budget is None:
            budget = int(_SHARE * free_bytes(torch.device("cpu")))
        what = f"The layers below the trained ones are computed once: {size / 1e6:,.0f} MB for "
        what += f"{n:,} tokens, kept in "
        if size <= budget:
            _LOG.info("%smemory.", what)
            return np.empty((n, width), dtype=dtype)
        _LOG.info("%sa file in %s (lora_cache_mb).", what, self._directory)
        with writing(self._directory):
            self._directory.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self._directory) as file:
                # a full disk shows here, and not as a crash when the file is written to
                os.posix_fallocate(file.fileno(), 0, size)
                return np.memmap(file, dtype=dtype, mode="r+", shape=(n, width))
