"""Ears followed from frame to frame of a video."""
