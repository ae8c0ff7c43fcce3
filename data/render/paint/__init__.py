"""What pictures are drawn with: soft shapes, noise, splines, colours, letters, and the camera's exposure."""
