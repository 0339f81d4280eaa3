"""A region's embeddings on disk: a Zarr v3 group with a journal, written chunk by chunk."""
