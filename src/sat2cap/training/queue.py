"""The MoCo queue of past ground embeddings (paper section 3.2; He et al. 2020)."""

import torch
from torch import Tensor


class RingQueue:
    """The last K ground embeddings and whose they are; the newest replaces the oldest.

    A plain object, not a module: its content is state of the run, and no part of the model.
    """

    def __init__(self, ground: Tensor, owners: Tensor) -> None:
        """Starts full, with `ground` `[K, D]` of the rows `owners` `[K]`, oldest first."""
        self.embeddings = ground.T.contiguous().clone()
        """`[D, K]`."""
        self.owners = owners.clone()
        """`[K]`: the row of the training set that each column is from."""
        self.position = 0
        """The column that is oldest."""

    def __len__(self) -> int:
        """K."""
        return len(self.owners)

    def push(self, ground: Tensor, owners: Tensor) -> None:
        """Replace the oldest columns by `ground` `[B, D]` of the rows `owners` `[B]`."""
        size = len(self)
        if size == 0:
            return
        ground, owners = ground[-size:], owners[-size:]
        columns = (self.position + torch.arange(len(owners), device=self.owners.device)) % size
        self.embeddings[:, columns] = ground.T
        self.owners[columns] = owners
        self.position = (self.position + len(owners)) % size

    def state(self) -> dict[str, Tensor | int]:
        """Return the content and position of the queue, to be saved in a resume state."""
        return {"embeddings": self.embeddings, "owners": self.owners, "position": self.position}

    def restore(self, state: dict[str, Tensor | int]) -> None:
        """Restore the content and position that `state` returned."""
        self.embeddings.copy_(torch.as_tensor(state["embeddings"]))
        self.owners.copy_(torch.as_tensor(state["owners"]))
        self.position = int(state["position"])
