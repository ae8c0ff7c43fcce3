"""How long the students take, part by part."""
