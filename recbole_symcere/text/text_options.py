"""How texts are read, as plain settings: encoder, length, training, control."""

from dataclasses import dataclass
from typing import Literal

from recbole_symcere.base.errors import InputError
from recbole_symcere.base.options import option

__all__ = [
    "CacheOptions",
    "ControlOptions",
    "EncoderOptions",
    "ItemTextOptions",
    "TextControl",
    "TextOptions",
]

TextControl = Literal["none", "shuffled", "constant", "random"]
"""What may stand in the place of the reviews."""


@dataclass(frozen=True, kw_only=True)
class CacheOptions:
    """Where tokens and text vectors are kept."""

    cache_dir: str = option("runs/cache", "folder of tokens and text vectors, kept by content")


@dataclass(frozen=True, kw_only=True)
class EncoderOptions(CacheOptions):
    """How a frozen text encoder reads a text."""

    text_encoder: str = option(
        "all-MiniLM-L6-v2", "the default's name, a local folder, or a Hugging Face hub id"
    )
    pooling: Literal["auto", "first", "mean", "last"] = option(
        "auto", "from token vectors to a text's vector; auto: as the encoder was trained"
    )
    text_normalize: bool = option(
        False,
        "whether text vectors come at length 1, as an encoder's own Normalize at its end asks for; "
        "models that compare them do so anyway",
    )
    max_length: int = option(128, "tokens read of a text", minimum=2)


@dataclass(frozen=True, kw_only=True)
class ItemTextOptions:
    """How an item's training reviews become its text."""

    item_text: Literal["joined", "mean"] = option(
        "joined",
        "of an item's training reviews, where no <dataset>.items.parquet is read: joined in order "
        "of time, as far as max_length reads, or the mean of their frozen vectors",
    )

    def by_mean(self, text_mode: str) -> bool:
        """Whether it is the mean of vectors.

        Args:
            text_mode: "frozen" or "lora".

        Raises:
            InputError: where the mean is asked for and the vectors change at each step.
        """
        if self.item_text == "mean" and text_mode == "lora":
            raise InputError(
                "item_text=mean: the mean is of vectors that stay, but text_mode is lora. Set "
                "item_text: joined, or text_mode: frozen."
            )
        return self.item_text == "mean"


@dataclass(frozen=True, kw_only=True)
class TextOptions(EncoderOptions, ItemTextOptions):
    """How a batch's reviews become vectors, frozen or tuned."""

    text_mode: Literal["auto", "lora", "frozen"] = option(
        "auto", "auto: lora on an accelerator, frozen on a CPU"
    )
    text_level: Literal["interaction", "item"] = option(
        "interaction", "the review of the row, or all training reviews of its item, see item_text"
    )
    text_proj: Literal["linear", "fc_tanh", "mlp"] = option(
        "linear", "from the encoder's width to the graph's"
    )
    lora_target_modules: list[str] | None = option(
        None, "names of the layers that get LoRA; ~ chooses by architecture"
    )
    word_mask: float = option(
        0.15, "share of words masked in the augmented view t'", minimum=0, maximum=1
    )
    masked_views: int = option(
        2,
        "masked copies per review, of which a row draws one at each step: in frozen mode and with "
        "lora_layers, where copies are made beforehand, anew for each seed of a run; else each "
        "step masks anew. In frozen mode each holds a vector per review: 1.5 kB by the default "
        "encoder",
        minimum=1,
    )
    mask_seed: int | None = option(
        None, "of the words that are masked in these copies; ~ is the run's seed", minimum=0
    )
    lora_rank: int = option(8, "rank of the LoRA weights", minimum=1)
    lora_alpha: int = option(16, "LoRA's update is scaled by lora_alpha / lora_rank", minimum=1)
    lora_dropout: float = option(0.05, "dropout of LoRA's input", minimum=0, below=1)
    lora_layers: int | None = option(
        None,
        "LoRA in the top layers alone, so many; those below run once per review. ~ is all",
        minimum=1,
    )
    lora_cache_mb: int | None = option(
        None,
        "memory for what is kept below lora_layers, beyond which it is a file in cache_dir; "
        "~ is half of what is free",
        minimum=0,
    )
    encode_chunk_tokens: int | None = option(
        None,
        "lora mode: padded tokens whose activations are held at once; a step's others are encoded "
        "again in backward, with equal gradients. ~ chooses by the free memory",
        minimum=1,
    )
    text_precision: Literal["auto", "float32", "bfloat16"] = option(
        "auto", "of LoRA training; auto: bfloat16 (autocast) on a GPU that has it, else float32"
    )
    torch_compile: bool = option(False, "lora mode: compile the encoder's layers by torch.compile")


@dataclass(frozen=True, kw_only=True)
class ControlOptions:
    """What stands in the place of the reviews; see `recbole_symcere.data.text_control`."""

    text_control: TextControl | None = option(
        "none", "what text models read in the place of the reviews"
    )
    text_control_seed: int = option(
        0, "of the shuffling and dealing; not the run's, so that all seeds share one encoding",
        minimum=0,
    )  # fmt: skip
