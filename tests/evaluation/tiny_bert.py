"""A random BERT that knows a few words, in place of sentence encoders and BERTScore's models."""

from collections.abc import Iterable
from pathlib import Path

import torch
from transformers import BertConfig, BertModel, BertTokenizerFast


def tiny_bert(folder: Path, words: Iterable[str]) -> Path:
    """Saved as a folder of transformers."""
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *sorted(set(words))]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    BertTokenizerFast(vocab_file=str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 64}
    config = BertConfig(
        vocab_size=len(vocabulary), max_position_embeddings=128, initializer_range=0.5, **sizes
    )
    BertModel(config).save_pretrained(folder)
    return folder
