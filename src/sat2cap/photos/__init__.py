"""Ground photos: the protocol, and the sources that read records and images."""
