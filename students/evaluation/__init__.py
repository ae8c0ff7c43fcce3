"""How well the students find ears and predict their points, against labelled photographs."""
