"""The addresses of a server, by subject."""
