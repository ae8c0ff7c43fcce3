"""Networks that predict for every cell of a map, and whole frames at once: students and the frame teacher"""
