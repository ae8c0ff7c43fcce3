"""The networks of the teacher, and where their weights come from; no training loop."""
