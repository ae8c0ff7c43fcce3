"""A pickle read without Python's unpickler: what it may hold is built by checked code of our own."""
