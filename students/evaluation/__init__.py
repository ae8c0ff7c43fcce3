"""How well the students find and read ears, against labelled photographs."""
