"""The rules that all readers follow: which class, which picture, whose size, whose points."""
