"""Where and when, as values and arithmetic: regions, grids of cells, dates. Only region files are read."""
