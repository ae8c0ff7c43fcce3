"""The two networks of the students, their checkpoints and label losses."""
