"""What each training step reads: patches, ground embeddings and batches."""
