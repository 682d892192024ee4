"""What new texts say to a trained model: vectors of new items, from the run's own encoder."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
import torch.nn.functional as F
from torch import Tensor

from recbole_symcere.base.errors import InputError
from recbole_symcere.base.options import read_options
from recbole_symcere.graph.bipartite import BipartiteGraph
from recbole_symcere.model.profiles import TextProfiles
from recbole_symcere.model.registry import lineage
from recbole_symcere.model.stored_vectors import StoredVectors
from recbole_symcere.run.stored_run import load_data_and_model
from recbole_symcere.text.encode import encode_texts
from recbole_symcere.text.encoder import TextEncoder, load_encoder
from recbole_symcere.text.text_options import EncoderOptions
from recbole_symcere.text.tokenise import tokenise

__all__ = ["TEXT_MODELS", "TextFold"]

TEXT_MODELS = ("SymCERE", "SymCEREPlus", "AlphaRec")
"""Whose vectors a text alone can give."""

_log = logging.getLogger(__name__)
_UNKNOWN = 0.5  # of a text's tokens, above which a warning says so


class TextFold:
    """Vectors of items that a run doesn't know, from their texts; nothing is trained.

    A new item is a node without neighbours, so that LightGCN leaves 1 / (K + 1) of its layer 0,
    which is for the texts t_1 ... t_n of an item::

        SymCEREPlus  f(p),  p its profile as those of the known items
        AlphaRec     MLP(mean_j t_j)
        SymCERE      no layer 0 comes from text; the vector is mean_j of the projected t_j at
                     length 1, which training has drawn near (g_u + g_i) / 2

    Args:
        run: its folder.
        places: new places, see `load_data_and_model`.

    Raises:
        InputError: for a run whose text encoder or data are gone.
    """

    def __init__(self, run: Path, places: Mapping[str, str | None]) -> None:
        config, model, _, train, *_ = load_data_and_model(run, **places)
        if isinstance(model, StoredVectors):
            raise InputError(
                f"--run={run}: the run's text encoder {config['text_encoder']} is gone, without "
                "which no text can be read. If it was moved, name it: --text_encoder=DIR."
            )
        self._model, self._options = model.eval(), read_options(EncoderOptions, config)
        backbone, self._tokenizer = load_encoder(self._options.text_encoder)
        tuned = getattr(getattr(model, "reviews", None), "encoder", None)
        self._encoder: TextEncoder = (
            tuned.eval()
            if tuned is not None
            else TextEncoder(backbone, self._options.pooling, self._options.text_normalize)
        )
        self._profiles: TextProfiles | None = None
        if "SymCEREPlus" in lineage(type(model)):
            o = model.plus
            if o.profile not in {"item", "both"}:
                raise InputError(
                    f"--run={run}: the run has profile: {o.profile or '~'}, where no text seeds an "
                    "item, so that a text says nothing of a new one."
                )
            size = 0 if o.profile_text == "dense" else o.lexical_size
            self._profiles = TextProfiles(
                train.dataset,
                self._options,
                model.device,
                size,
                o.lexical_max_length,
                o.profile_text != "lexical",
                self._encode,
            )

    @torch.no_grad()
    def items(self, owners: Sequence[Sequence[str]]) -> tuple[Tensor, Tensor]:
        """Vectors of new items.

        Args:
            owners: of each the texts, at least one.

        Returns:
            float32 [n, d] as `VectorRecommender.forward` gives those of known items, and the words
            [n, s] of SymCEREPlus's profiles, without columns for another model.
        """
        self._warn_of_unknown([text for mine in owners for text in mine])
        none = torch.zeros(len(owners), 0)
        if self._profiles is not None:
            profiles, words = self._profiles(owners)
            return self._alone(self._model.seed(profiles.to(self._model.device))), words
        sizes = [len(mine) for mine in owners]
        vectors = self._encode([text for mine in owners for text in mine])
        if "AlphaRec" in lineage(type(self._model)):
            means = _means(vectors, sizes).to(self._model.device)
            return self._alone(self._model.mlp(means)), none
        projected = self._model.projection(vectors.to(self._model.device))
        return _means(F.normalize(projected, dim=-1).cpu(), sizes), none

    def _alone(self, x: Tensor) -> Tensor:
        """What the graph encoder makes of nodes without neighbours."""
        nobody = np.zeros(0, np.int64)
        graph = BipartiteGraph(nobody, nobody, 0, len(x)).to(x.device)
        found: Tensor = self._model.backbone(graph, x)
        return found.cpu()

    def _encode(self, texts: Sequence[str]) -> Tensor:
        o = self._options
        return encode_texts(self._encoder, self._tokenizer, texts, o.max_length, self._model.device)

    def _warn_of_unknown(self, texts: Sequence[str]) -> None:
        unknown_id = self._tokenizer.unk_token_id
        strings = pa.array(list(texts), pa.large_string())
        ids = np.concatenate(
            [chunk[0] for chunk in tokenise(strings, self._tokenizer, self._options.max_length)]
        )
        inside = ids[~np.isin(ids, [*{*self._tokenizer.all_special_ids} - {unknown_id}])]
        share = float((inside == unknown_id).mean()) if len(inside) else 1.0
        if share > _UNKNOWN:
            _log.warning(
                f"{share:.0%} of the text's tokens are unknown to {self._options.text_encoder}: is "
                "it in another language than the reviews of the run? What it says is mostly lost."
            )


def _means(rows: Tensor, sizes: Sequence[int]) -> Tensor:
    return torch.stack([part.mean(dim=0) for part in torch.split(rows, list(sizes))])
