"""How the EarDetector learns from a few labels and from ears without."""
