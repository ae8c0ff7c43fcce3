"""How a student is trained: labels, pseudo-labels, and the teacher's stored maps."""
