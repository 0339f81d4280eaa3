"""How many kinds of place an embedding tells apart (figure 4 of the paper)."""
