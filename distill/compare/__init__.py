"""Teachers compared: trained on the same crops for as many images, measured alike, in one table"""
