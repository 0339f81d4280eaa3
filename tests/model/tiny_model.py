"""A CLIP small enough to build in every test: same classes, same files, random weights."""

import json
from pathlib import Path
from typing import Any

import torch
from transformers import CLIPConfig, CLIPModel, CLIPTokenizerFast

WORDS = ["a", "photo", "of", "busy", "street", "snow", "forest", "the", "sea"]
START, END = "<|startoftext|>", "<|endoftext|>"


def tiny_tokenizer(folder: Path) -> Any:
    """A word-level vocabulary in the form of CLIP's byte-pair files."""
    letters = sorted(set("abcdefghijklmnopqrstuvwxyz"))
    vocab = [*letters, *(f"{letter}</w>" for letter in letters)]
    merges = []
    for word in WORDS:
        pieces = [*word[:-1], f"{word[-1]}</w>"]
        while len(pieces) > 1:
            merge = (pieces[0], pieces[1])
            if merge not in merges:
                merges.append(merge)
            pieces[:2] = ["".join(merge)]
            if pieces[0] not in vocab:
                vocab.append(pieces[0])
    vocab += [START, END]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({token: number for number, token in enumerate(vocab)}))
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n")
    ends = {"unk_token": END, "pad_token": END, "bos_token": START, "eos_token": END}
    return CLIPTokenizerFast.from_pretrained(folder, **ends)


def tiny_clip(folder: Path, *, seed: int = 0, image: int = 48, hidden: int = 160, dim: int = 128) -> Path:
    """Save a random `CLIPModel` with tokenizer and preprocessing to `folder`, as transformers does."""
    tokenizer = tiny_tokenizer(folder / "made")
    torch.manual_seed(seed)
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    config = CLIPConfig(
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "max_position_embeddings": 77,
            "pad_token_id": tokenizer.pad_token_id,
            **ends,
        },
        vision_config={
            "hidden_size": hidden,
            "intermediate_size": 2 * hidden,
            "num_hidden_layers": 4 if hidden > 64 else 2,
            "num_attention_heads": hidden // 32,
            "image_size": image,
            "patch_size": 8,
        },
        projection_dim=dim,
    )
    CLIPModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    edges = {"size": {"shortest_edge": image}, "crop_size": {"height": image, "width": image}}
    (folder / "preprocessor_config.json").write_text(json.dumps({"resample": 3, **edges}))
    return folder
