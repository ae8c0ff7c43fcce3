"""YOLO data sets: how they lie on the disk, which split they have, what the columns of their labels are"""
