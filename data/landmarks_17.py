"""The 17 ear landmarks and how they are joined: the project's own scheme, as a scheme file would hold it.

Names follow anthropometry (otobasion, superaurale, postaurale, subaurale) and surface anatomy.
"""

LANDMARKS_17 = {
    "names": [
        "otobasion superius",  # upper attachment of the ear to the face
        "superaurale",  # highest point of the helix
        "posterosuperior helix",  # outer rim
        "postaurale",  # rearmost point of the helix
        "mid-posterior helix",  # outer rim
        "helix-lobe junction",  # outer rim
        "subaurale",  # lowest point of the lobe
        "otobasion inferius",  # lower attachment of the lobe to the face
        "crus helicis end",  # start of the inner helix rim in the concha
        "inner helix apex",  # inner rim, top
        "helix tail",  # end of the inner rim
        "supratragic notch",  # above the tragus
        "tragus apex",  # front
        "intertragic notch",  # between tragus and antitragus
        "antitragus apex",
        "posterior concha rim",  # antihelix side of the concha
        "inferior crus end",
    ],
    "curves": {
        "outer rim": [0, 1, 2, 3, 4, 5, 6, 7],
        "inner rim": [8, 9, 10],
        "tragus to antitragus": [11, 12, 13, 14],
        "concha": [14, 15, 16],
    },
    # of each point's name after mirroring the image: a left ear becomes a right ear, nothing changes place
    "flip": list(range(17)),
    # of 41 annotated in-the-wild ears, box = extent of the points = 0..1, face to the right
    "mean_shape_unit": [
        [0.75, 0.14],
        [0.46, 0.02],
        [0.17, 0.07],
        [0.06, 0.23],
        [0.16, 0.59],
        [0.37, 0.82],
        [0.66, 0.97],
        [0.94, 0.92],
        [0.72, 0.42],
        [0.33, 0.11],
        [0.39, 0.71],
        [0.81, 0.44],
        [0.76, 0.50],
        [0.83, 0.70],
        [0.66, 0.64],
        [0.40, 0.48],
        [0.66, 0.33],
    ],
}
