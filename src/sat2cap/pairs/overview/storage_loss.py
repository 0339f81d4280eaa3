"""The loss of storing patches at fewer pixels than the paper's 800, as PSNR."""

import io
import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sat2cap.errors import ImageryError
from sat2cap.geo import patch_around
from sat2cap.imagery import Imagery, fill_missing
from sat2cap.pairs.dataset import PairSet

PAPER_PIXELS, MODEL_PIXELS = 800, 224
_CROP = 0.5  # side of the crop that augmentation may take, of the patch's side

Pixels = NDArray[np.uint8]


def measure_storage_psnr(
    pairs: PairSet, imagery: Imagery, sample: int = 32, seed: int = 0
) -> dict[str, float]:
    """Measure the PSNR, in dB, of stored patches against patches of 800 pixels, as a network reads both.

    ``whole`` and ``crop`` are PSNR in dB over the sample, of the whole patch and of its middle half, each
    resized to 224 pixels as in training; beside them bytes of both kinds. Raises `ImageryError` when none of
    the sample can be read.
    """
    size_m = pairs.manifest["provenance"]["patch"]["size_m"]
    errors: dict[str, list[float]] = {"whole": [], "crop": []}
    sizes: list[tuple[int, int]] = []
    for pair in pairs.some(sample, seed=seed):
        try:
            rgba = imagery.read(patch_around(pair.lon, pair.lat, size_m, PAPER_PIXELS))
        except ImageryError:
            continue
        full = fill_missing(np.asarray(rgba.transpose("y", "x", "band").values)[None])[0]
        stored = np.asarray(Image.open(io.BytesIO(pair.overhead)).convert("RGB"))
        for name, share in (("whole", 1.0), ("crop", _CROP)):
            off = _read_by_model(full, share).astype(float) - _read_by_model(stored, share)
            errors[name].append(float(np.square(off).mean()))
        sizes.append((len(pair.overhead), len(_jpeg(full))))
    if not sizes:
        raise ImageryError(f"imagery {imagery.info.uri!r}: none of the sampled patches can be read")
    stored_bytes, full_bytes = (float(mean) for mean in np.mean(sizes, axis=0))
    psnr = {f"{name}_db": _psnr(float(np.mean(values))) for name, values in errors.items()}
    return {**psnr, "stored_bytes": stored_bytes, "full_bytes": full_bytes, "patches": float(len(sizes))}


def _read_by_model(patch: Pixels, share: float) -> Pixels:
    side = patch.shape[0]
    edge = side * (1 - share) / 2
    box = (edge, edge, side - edge, side - edge)
    size = (MODEL_PIXELS, MODEL_PIXELS)
    return np.asarray(Image.fromarray(patch).resize(size, Image.Resampling.BICUBIC, box=box))


def _jpeg(pixels: Pixels) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=92)
    return out.getvalue()


def _psnr(error: float) -> float:
    return math.inf if error == 0 else round(10 * math.log10(255**2 / error), 2)
