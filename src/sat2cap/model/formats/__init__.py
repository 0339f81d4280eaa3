"""The file formats that models are read from and written to."""
