"""The MoCo queue of past ground embeddings (paper section 3.2; He et al. 2020)."""

import torch
from torch import Tensor


class RingQueue:
    """The last K ground embeddings with the pairs that they belong to; new ones replace the oldest.

    This is not a torch module: its content is state of the run and not part of the model.
    """

    def __init__(self, ground: Tensor, owners: Tensor) -> None:
        """Fill the queue with ground embeddings `[K, D]` of the pairs `owners` `[K]`, oldest first."""
        self.embeddings = ground.T.contiguous().clone()
        """Ground embeddings, one a column: float32, shape (D, K)."""
        self.owners = owners.clone()
        """Index in the training set of each column's pair: int64, shape (K,)."""
        self.position = 0
        """Index of the oldest column, which the next push replaces."""

    def __len__(self) -> int:
        """Return the number of embeddings that the queue holds, K."""
        return len(self.owners)

    def push(self, ground: Tensor, owners: Tensor) -> None:
        """Replace the oldest columns by ground embeddings `[B, D]` of the pairs `owners` `[B]`."""
        size = len(self)
        if size == 0:
            return
        ground, owners = ground[-size:], owners[-size:]
        columns = (self.position + torch.arange(len(owners), device=self.owners.device)) % size
        self.embeddings[:, columns] = ground.T
        self.owners[columns] = owners
        self.position = (self.position + len(owners)) % size

    def state_dict(self) -> dict[str, Tensor | int]:
        """Return the queue's embeddings (D, K), owners (K,) and position, to be saved in a resume state."""
        return {"embeddings": self.embeddings, "owners": self.owners, "position": self.position}

    def load_state_dict(self, state: dict[str, Tensor | int]) -> None:
        """Restore what `state_dict` returned, of a queue of the same shapes."""
        self.embeddings.copy_(torch.as_tensor(state["embeddings"]))
        self.owners.copy_(torch.as_tensor(state["owners"]))
        self.position = int(state["position"])
