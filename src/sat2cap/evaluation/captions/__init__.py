"""Captions of places against captions of photos (table 2 of the paper)."""
