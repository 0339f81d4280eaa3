"""The cosine between texts and normalise(O + E(where, when)), for the stored embeddings of a chunk.

O is the stored embedding, E = W2·relu(W1·x + b1) + b2 the Dynamic Encoder's offset. It is linear after its
ReLU, so no offset is ever written out. With T a text vector and h = relu(W1·x + b1), a few numbers a cell::

    (O + E)·T   = O·T + h·(W2ᵀT) + b2·T
    ‖O + E‖²    = ‖O‖² + 2 (P·h + O·b2) + hᵀ(W2ᵀW2)h + 2 h·(W2ᵀb2) + ‖b2‖²      where P = W2ᵀO

That is one matrix product of the stored numbers with all texts, W2 and b2 side by side, so another text costs
little more than its column.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sat2cap.geo.when import When
from sat2cap.model.checkpoint import Checkpoint
from sat2cap.model.metadata import Encoding, encode_metadata, place_feature_count

Floats = NDArray[np.float32]

_TINY = np.float32(1e-12)


@dataclass(frozen=True)
class Offset:
    """The Dynamic Encoder at one moment, H hidden numbers."""

    encoding: Encoding
    place: Floats
    """`[H, F]`: the part of W1 that reads the place."""
    moment: Floats
    """`[H]`: what the moment and b1 add before the ReLU."""
    w2: Floats
    """`[D, H]`."""
    b2: Floats
    """`[D]`."""

    def hidden(self, lon: NDArray[np.float64], lat: NDArray[np.float64]) -> Floats:
        """h of each of N places, float32 `[H, N]`; degrees."""
        # the moment's eight numbers are in `moment` already, so any will do here
        features = encode_metadata(lat, lon, 2015, 1, 1, 0, self.encoding)[:, : self.place.shape[1]]
        hidden: Floats = self.place @ features.T
        hidden += self.moment[:, None]
        np.maximum(hidden, 0, out=hidden)
        return hidden


def offset_at(checkpoint: Checkpoint, when: When) -> Offset | None:
    """The offset of a checkpoint at a moment; None if it has no Dynamic Encoder."""
    if checkpoint.dynamic is None:
        return None
    state = checkpoint.dynamic.state_dict()
    w1, b1, w2, b2 = (
        state[name].detach().float().cpu().numpy()
        for name in ("fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias")
    )
    time = encode_metadata(0, 0, when.year, when.month, when.day, when.hour, checkpoint.encoding)
    first = place_feature_count(checkpoint.encoding)
    moment = w1[:, first:] @ time[0, first:] + b1
    return Offset(checkpoint.encoding, w1[:, :first], moment, w2, b2)


def _unit(dots: Floats, squares: Floats) -> Floats:
    lengths = np.sqrt(np.maximum(squares, _TINY))
    return np.asarray(dots / lengths, np.float32)


def static_cosines(stored: Floats, texts: Floats) -> Floats:
    """`[K, N]` for unit texts `[K, D]` and embeddings `stored` `[N, D]`, each in a scale of its own.

    Either memory order of `stored` serves; D before N is how an atlas keeps it.
    """
    return _unit(texts @ stored.T, np.einsum("nd,nd->n", stored, stored))


@dataclass(frozen=True)
class DynamicCosines:
    """Unit texts and an offset, with all that is the same for every cell worked out once."""

    from_stored: Floats
    """`[K + H + 1, D]`: texts, W2ᵀ and b2, to be multiplied with stored embeddings."""
    from_hidden: Floats
    """`[K + H, H]`: texts·W2 and W2ᵀW2, to be multiplied with h."""
    constant: Floats
    """`[K + H]`: texts·b2 and 2 W2ᵀb2."""
    b2_square: float
    texts: int
    """K."""

    @classmethod
    def of(cls, texts: Floats, offset: Offset) -> "DynamicCosines":
        """From unit texts `[K, D]`."""
        w2, b2 = offset.w2, offset.b2
        return cls(
            np.concatenate([texts, w2.T, b2[None]]),
            np.concatenate([texts @ w2, w2.T @ w2]),
            np.concatenate([texts @ b2, 2 * (w2.T @ b2)]),
            float(b2 @ b2),
            len(texts),
        )

    def __call__(self, stored: Floats, scale: Floats, hidden: Floats) -> Floats:
        """`[K, N]` for embeddings `stored * scale[:, None]`, `[N, D]`, and their `Offset.hidden`."""
        k = self.texts
        one, two = self.from_stored @ stored.T, self.from_hidden @ hidden
        one *= scale
        two += self.constant[:, None]
        # (W2ᵀW2 h + 2 W2ᵀb2 + 2 P)·h gathers every term of the square that has an h
        around = np.add(two[k:], 2 * one[k:-1], out=two[k:])
        squares = np.einsum("nd,nd->n", stored, stored) * scale**2 + 2 * one[-1] + np.float32(self.b2_square)
        return _unit(one[:k] + two[:k], squares + np.einsum("hn,hn->n", around, hidden))
