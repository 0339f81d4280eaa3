"""What a pair set contains: data card, pictures, measured storage loss."""
