"""Embedding of images by a tower of torch, in batches, in the precision that was asked for."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sat2cap.model.compute import Precision
from sat2cap.model.conversion import convert_tower, embed_pixels
from sat2cap.model.preprocess import AnyImage, Preprocess

BATCH = 64
"""Number of images or texts that a tower sees at once, which bounds memory whatever a caller passes."""

Floats = NDArray[np.float32]


class ImageEmbedder:
    """Embeds images by towers with `dim` outputs, and remembers the copies of towers in faster precisions."""

    def __init__(self, dim: int) -> None:
        self._dim = dim
        self._copies: dict[tuple[int, str, torch.device, bool], Any] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Leave converted towers out of copies and pickles, since packed weights cannot be copied."""
        return {"_dim": self._dim, "_copies": {}}

    def embed(
        self,
        tower: Any,
        preprocess: Preprocess,
        images: Sequence[AnyImage] | NDArray[np.uint8],
        precision: Precision,
        *,
        prepared: bool,
        compiled: bool,
    ) -> Floats:
        """Return the unnormalised outputs of a tower for B images, float32 `[B, D]`.

        `prepared` images, uint8 `[B, S, S, 3]`, were cropped and resized before. With `compiled`, a copy on a
        GPU is compiled. Raises `ModelError` if embeddings are too inaccurate in `precision`.
        """
        device = next(tower.parameters()).device
        rows = [np.zeros((0, self._dim), np.float32)]
        with torch.inference_mode():
            for start in range(0, len(images), BATCH):
                batch = images[start : start + BATCH]
                pixels = np.asarray(batch) if prepared else preprocess.pixels(batch)
                network = self._tower_in(tower, preprocess, pixels, precision, compiled)
                values = preprocess.normalise(pixels, next(network.parameters()).dtype, device)
                rows.append(embed_pixels(network, values).cpu().numpy())
        return np.concatenate(rows)

    def forget_copies(self) -> None:
        """Drop the copies of towers, which are on the device that the towers were on."""
        self._copies.clear()

    def _tower_in(
        self,
        tower: Any,
        preprocess: Preprocess,
        pixels: NDArray[np.uint8],
        precision: Precision,
        compiled: bool,
    ) -> Any:
        """Return the tower in a precision, converted at first use and compared with float32 on `pixels`."""
        if precision == "float32":
            return tower
        device = next(tower.parameters()).device
        key = (id(tower), precision, device, compiled)
        if key not in self._copies:
            values = preprocess.normalise(pixels, device=device)
            self._copies[key] = convert_tower(tower, precision, values, compiled=compiled)
        return self._copies[key]
