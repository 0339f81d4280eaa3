"""The exact scan over stored embeddings."""
