"""Commands for the long jobs: pairs, train, embed, demo."""
