"""The head round an ear: hair, face, hands, hats, glasses, and whose head it is."""
