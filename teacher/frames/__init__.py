"""The teacher of frames: it finds ears in photographs, for a student detector to learn from"""
