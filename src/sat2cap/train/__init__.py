"""The training loop of the paper, its run files, losses, queue and caches."""
