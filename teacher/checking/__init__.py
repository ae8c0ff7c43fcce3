"""Whether a teacher is sound and what it costs: what `python -m teacher.check` runs."""
