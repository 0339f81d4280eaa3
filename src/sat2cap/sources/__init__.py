"""Where imagery and photos come from: the protocols, and the sources that read files."""
