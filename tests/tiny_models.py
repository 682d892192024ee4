"""Tiny random text encoders, built in code and saved like any Hugging Face model."""

from pathlib import Path

import torch

CONSONANTS, VOWELS = "bdfgklmnprst", "aeiou"
WORDS = [
    a + b + c + d for a in CONSONANTS[:6] for b in VOWELS for c in CONSONANTS[6:] for d in "ao"
]


def synthetic_texts(n: int, seed: int = 0, longest: int = 20) -> list[str]:
    """n texts of 1 to ``longest`` synthetic words."""
    generator = torch.Generator().manual_seed(seed)

    def draw(high: int, size: int) -> list[int]:
        return torch.randint(0, high, (size,), generator=generator).tolist()

    return [" ".join(WORDS[w] for w in draw(len(WORDS), 1 + draw(longest, 1)[0])) for _ in range(n)]


def tiny_bert(folder: Path) -> Path:
    """BERT, word-piece like vocabulary, [MASK] and [PAD]."""
    from transformers import BertConfig, BertModel

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer = _tokenizer(special, whole_words=False)
    names = dict(zip(("pad", "unk", "cls", "sep", "mask"), special, strict=True))
    return _save(folder, BertModel, BertConfig, tokenizer, ("[CLS]", "[SEP]"), names)


def tiny_roberta(folder: Path) -> Path:
    """RoBERTa, whose positions start after the pad token's id (1)."""
    from transformers import RobertaConfig, RobertaModel

    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    tokenizer = _tokenizer(special, whole_words=False)
    names = {"cls": "<s>", "bos": "<s>", "pad": "<pad>", "sep": "</s>", "eos": "</s>"}
    names |= {"unk": "<unk>", "mask": "<mask>"}
    return _save(folder, RobertaModel, RobertaConfig, tokenizer, ("<s>", "</s>"), names)


def tiny_llama(folder: Path) -> Path:
    """Llama: decoder only, neither a mask nor a pad token."""
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = _tokenizer(["<unk>", "<s>", "</s>"], whole_words=True)
    names = {"unk": "<unk>", "bos": "<s>", "eos": "</s>"}
    return _save(folder, LlamaForCausalLM, LlamaConfig, tokenizer, ("<s>", None), names)


def _tokenizer(special: list[str], whole_words: bool):
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    unknown = next(name for name in special if "unk" in name.lower())
    if whole_words:
        tokenizer = Tokenizer(models.WordLevel(unk_token=unknown))
        trainer = trainers.WordLevelTrainer(special_tokens=special, show_progress=False)
    else:  # merges that stop early, so that most words have two sub-tokens
        tokenizer = Tokenizer(models.BPE(unk_token=unknown))
        trainer = trainers.BpeTrainer(
            vocab_size=90, special_tokens=special, show_progress=False, min_frequency=2
        )
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.train_from_iterator([" ".join(WORDS)], trainer)
    return tokenizer


def _save(folder: Path, model_class, config_class, tokenizer, frame, names) -> Path:
    from tokenizers import processors
    from transformers import PreTrainedTokenizerFast
    from transformers.utils import logging

    first, last = frame
    pieces = [first, "$A", *([last] if last else [])]
    ids = [(name, tokenizer.token_to_id(name)) for name in (first, last) if name]
    tokenizer.post_processor = processors.TemplateProcessing(single=pieces, special_tokens=ids)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, **{f"{kind}_token": name for kind, name in names.items()}
    )
    torch_state = torch.get_rng_state()
    torch.manual_seed(7)
    model = model_class(
        config_class(
            vocab_size=len(fast),
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=4,
            intermediate_size=64,
            max_position_embeddings=66,
            pad_token_id=fast.pad_token_id,
            bos_token_id=fast.bos_token_id,
            eos_token_id=fast.eos_token_id,
        )
    )
    torch.set_rng_state(torch_state)
    bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    model.save_pretrained(folder)
    if bars:
        logging.enable_progress_bar()
    fast.save_pretrained(folder)
    return Path(folder)
