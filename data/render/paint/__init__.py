"""What pictures are drawn with: shapes, noise, splines, light, colours, letters, the camera's exposure."""
