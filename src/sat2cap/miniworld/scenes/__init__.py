"""What a ground photo shows, how it is drawn and what people write under it."""
