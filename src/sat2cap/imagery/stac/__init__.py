"""Imagery found by searching a STAC catalogue."""
