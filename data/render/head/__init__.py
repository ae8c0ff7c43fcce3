"""The person round an ear: head, face, hair, hands, hats, glasses, and who it is."""
