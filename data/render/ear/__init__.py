"""The ear itself: its curves, its relief, the camera that sees it, its skin."""
