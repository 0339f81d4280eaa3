"""A model that sees the mean colour of a picture, and pairs of plain colours: small, and known by heart."""

import io
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.append(str(Path(__file__).parents[1] / "query"))  # made_model lives there

from made_model import NamedTexts, model

from sat2cap.pairs import Pair

DIM = 16
_EYE = np.random.default_rng(0).normal(size=(3, DIM)).astype(np.float32)


class Seeing(NamedTexts):
    """Embeds pictures by their mean colour; `blur` of a card adds noise to the overhead side."""

    @property
    def ground_identity(self) -> str:
        return "the same eye"

    @property
    def identity(self) -> str:
        return f"{self.place_identity}-{self.card['blur']}"

    def embed_ground(self, images, **options) -> np.ndarray:
        rows = np.stack([np.asarray(image).reshape(-1, 3).mean(0) - 128 for image in images]) @ _EYE
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

    def embed_overhead(self, patches, **options) -> np.ndarray:
        SEEN.append(len(patches))
        rows = self.embed_ground(patches)
        noise = np.random.default_rng([int(v) for v in patches[0].ravel()[:3]]).normal(size=rows.shape)
        return (3 * rows + self.card["blur"] * noise).astype(np.float32)


SEEN: list[int] = []
"""How many patches each call embedded."""


def seeing(blur: float = 0.0, *, dynamic: bool = True, seed: int = 0, **card) -> Seeing:
    base = model(DIM, seed=seed, dynamic=dynamic)
    values = {name: getattr(base, name) for name in base.__dataclass_fields__}
    return Seeing(**{**values, "card": {"name": f"eye {seed}", "blur": blur, **card}})


@dataclass(frozen=True)
class Plain:
    """Pairs whose photo and patch have one colour; `several` photos at each place, a kilometre apart."""

    total: int = 90
    several: int = 1
    name: str = "plain"
    fingerprint: str = "plain"

    def count(self, split: str) -> int:
        return self.total if split == "test" else 0

    def read(self, split: str) -> Iterator[Pair]:
        for number in range(self.total):
            place = number // self.several
            colour = np.random.default_rng(place).integers(0, 256, 3)
            taken = datetime(2021, 1, 1) + timedelta(hours=97 * number)
            lat = -40 + 80 * place / self.total
            yield Pair(f"p{number}", picture(colour), picture(colour), 5 + place * 0.4, lat, taken)

    def read_rows(self, split: str, rows: Iterable[int]) -> Iterator[tuple[int, Pair]]:
        wanted = set(rows)
        return ((row, pair) for row, pair in enumerate(self.read(split)) if row in wanted)


def picture(colour: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((4, 4, 3), colour, np.uint8)).save(file, "png")
    return file.getvalue()
