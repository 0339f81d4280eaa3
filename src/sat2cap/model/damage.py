"""What a model's files can hold that no model has: sizes beyond reason, and values of another kind."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sat2cap.errors import ModelError, quote

LARGEST_SIZES = {
    "num_hidden_layers": 1000,
    "num_attention_heads": 10_000,
    "hidden_size": 100_000,
    "intermediate_size": 1_000_000,
    "projection_dim": 100_000,
    "projection_size": 100_000,
    "vocab_size": 10_000_000,
    "max_position_embeddings": 10_000,
    "image_size": 10_000,
    "patch_size": 10_000,
    "num_channels": 100,
    "n_layer": 1000,
    "n_head": 10_000,
    "n_embd": 100_000,
    "n_inner": 1_000_000,
    "n_positions": 10_000,
}
"""Largest value of each size in a network's config, ten times that of any real model or more."""
_MAX_PATCHES_PER_SIDE = 1000


def check_sizes(config: Mapping[str, Any]) -> None:
    """Raise `ValueError` if a size in a network's config is no whole number within `LARGEST_SIZES`.

    A config costs nothing to write, and a network of ten million layers would take hours to lay out before
    it is known that its weights are not there.
    """
    for name, largest in LARGEST_SIZES.items():
        value = config.get(name)
        if value is not None and not (type(value) is int and 1 <= value <= largest):
            raise ValueError(f"{name} is {quote(repr(value))}, not a whole number from 1 to {largest:,}")
    for width, heads in (("hidden_size", "num_attention_heads"), ("n_embd", "n_head")):
        if config.get(width) and config.get(heads) and config[width] % config[heads]:
            raise ValueError(f"{width} {config[width]} is not divided evenly by {heads} {config[heads]}")
    image, patch = config.get("image_size"), config.get("patch_size")
    if image is not None and patch is not None and not 1 <= image // patch <= _MAX_PATCHES_PER_SIDE:
        raise ValueError(f"image_size {image} and patch_size {patch} give {image // patch} patches a side")


def checked(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a config as it is, after `check_sizes`."""
    check_sizes(config)
    return config


@contextmanager
def damage_in_one_line(where: str) -> Iterator[None]:
    """Turn what reading values of a wrong kind raises, such as a list for a record, into a `ModelError`."""
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, RecursionError) as error:
        reason = quote(f"{type(error).__name__}: {error}")
        raise ModelError(
            f"{where} holds values that no model has ({reason}): save or download it again"
        ) from error
