"""The long jobs: pairs, train, embed, demo."""
