"""Between reading annotations and writing manifests: checks, the list of what was dropped, the split."""
