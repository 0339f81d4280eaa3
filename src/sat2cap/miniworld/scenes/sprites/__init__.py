"""Sprites: the things in a photo, each drawn by one function; see `by_concept` for their common signature."""
