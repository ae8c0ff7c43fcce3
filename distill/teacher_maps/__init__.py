"""A frozen teacher's maps and predictions, computed once and stored on disk."""
