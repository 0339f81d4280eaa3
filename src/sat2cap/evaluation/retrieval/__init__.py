"""Retrieval between photos and overhead patches (table 1 of the paper)."""
