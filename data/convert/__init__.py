"""From a manifest, or from predictions, to the files of labelling tools."""
