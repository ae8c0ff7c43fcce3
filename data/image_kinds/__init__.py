"""Kinds of image files: which are read, how their values become 8-bit RGB, what is wrong with others."""
