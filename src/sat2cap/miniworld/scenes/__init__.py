"""What photos show, drawn as pictures, and what people write under them."""
