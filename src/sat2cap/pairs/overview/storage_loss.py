"""Loss of quality, as PSNR, from storing patches at fewer pixels than the paper's 800."""

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sat2cap.errors import ImageryError
from sat2cap.geo import patch_around
from sat2cap.imagery import Imagery, fill_missing
from sat2cap.pairs.dataset import PairSet
from sat2cap.pairs.shard import encode_jpeg
from sat2cap.pictures import decode_picture

PAPER_PIXELS, MODEL_PIXELS = 800, 224
_CROP_SHARE = 0.5  # of the patch's side: a crop that augmentation may take

Pixels = NDArray[np.uint8]


def measure_storage_psnr(
    pairs: PairSet, imagery: Imagery, sample: int = 32, seed: int = 0
) -> dict[str, float]:
    """Measure the PSNR, in dB, of stored patches against patches of 800 pixels, as a network reads both.

    `sample` random pairs, chosen by `seed`, are read again from `imagery` at 800 pixels. Returns

    - ``whole_db`` and ``crop_db``: PSNR over the sample of the whole patch and of its middle half, each
      resized to 224 pixels as in training; infinite for equal pixels;
    - ``stored_bytes`` and ``full_bytes``: mean size of a stored patch and of one of 800 pixels, as JPEG;
    - ``patches``: number of patches that could be read.

    Raises `ImageryError` if none of the sample can be read.
    """
    size_m = pairs.manifest["provenance"]["patch"]["size_m"]
    errors: dict[str, list[float]] = {"whole": [], "crop": []}
    sizes: list[tuple[int, int]] = []
    for pair in pairs.sample_pairs(sample, seed=seed):
        try:
            rgba = imagery.read(patch_around(pair.lon, pair.lat, size_m, PAPER_PIXELS))
        except ImageryError:
            continue
        full = fill_missing(np.asarray(rgba.transpose("y", "x", "band").values)[None])[0]
        stored = np.asarray(decode_picture(pair.overhead))
        for name, share in (("whole", 1.0), ("crop", _CROP_SHARE)):
            difference = _resize_for_model(full, share).astype(float) - _resize_for_model(stored, share)
            errors[name].append(float(np.square(difference).mean()))
        sizes.append((len(pair.overhead), len(encode_jpeg(full, 92))))
    if not sizes:
        raise ImageryError(f"imagery {imagery.info.uri!r}: none of the sampled patches can be read")
    stored_bytes, full_bytes = (float(mean) for mean in np.mean(sizes, axis=0))
    psnr = {f"{name}_db": _compute_psnr_db(float(np.mean(values))) for name, values in errors.items()}
    return {**psnr, "stored_bytes": stored_bytes, "full_bytes": full_bytes, "patches": float(len(sizes))}


def _resize_for_model(patch: Pixels, share: float) -> Pixels:
    """Resize the middle `share` of a patch's side to the pixels that a network reads, (224, 224, 3)."""
    side = patch.shape[0]
    edge = side * (1 - share) / 2
    box = (edge, edge, side - edge, side - edge)
    size = (MODEL_PIXELS, MODEL_PIXELS)
    return np.asarray(Image.fromarray(patch).resize(size, Image.Resampling.BICUBIC, box=box))


def _compute_psnr_db(mean_square_error: float) -> float:
    """Return the PSNR in dB of 8-bit pixels, to two decimals; infinite if the error is 0."""
    return math.inf if mean_square_error == 0 else round(10 * math.log10(255**2 / mean_square_error), 2)
