"""Networks, the preprocessing that belongs to them, and checkpoints; no data loading."""
