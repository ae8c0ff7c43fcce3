"""The stages of a recipe: planned, run as processes, published whole."""
