"""Which photos can be used, and why the others are left out."""
