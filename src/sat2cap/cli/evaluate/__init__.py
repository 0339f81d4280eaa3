"""Commands that evaluate models and maps."""
