"""Whole pictures: one ear from near, people in front of clutter."""
