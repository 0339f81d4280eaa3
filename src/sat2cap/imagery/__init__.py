"""Overhead imagery: the protocol, and the sources that read files, tiles and STAC items."""
