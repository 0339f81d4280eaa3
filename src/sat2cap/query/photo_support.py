"""How many held-out photos speak for the chances of a prompt, and which prompts have too few."""

from collections.abc import Iterable, Sequence

from sat2cap.maps import FEW_PHOTOS_KEY, FEWEST_PHOTOS, describe_photos
from sat2cap.model import Calibration


def list_few_photos(
    calibration: Calibration | None, prompts: Sequence[str], fitting_photos: Iterable[float]
) -> dict[str, list[str]]:
    """Return the attribute that names the prompts that few held-out photos speak for; nothing if none.

    `fitting_photos` has a number for each of the prompts, the sum over the photos of `calibration` of how
    well each fits.
    """
    if calibration is None:
        return {}
    total = len(calibration.ground)
    entries = [
        describe_photos(prompt, float(photos), total)
        for prompt, photos in zip(prompts, fitting_photos, strict=True)
        if photos < FEWEST_PHOTOS
    ]
    return {FEW_PHOTOS_KEY: entries} if entries else {}
