"""The parts that stages play in the report: which command makes each, what it is called and painted."""

from __future__ import annotations

# roles, named like the stages of configs/demo.yaml -> the command that makes their folder
COMMANDS = {
    "data": "data.render or data.prepare",
    "teacher": "teacher.train",
    "teacher_eval": "teacher.evaluate",
    "eigenears": "teacher.eigenears",
    "ear_detector": "teacher.finetune",
    "maps": "distill.cache",
    "frame_maps": "distill.cache",
    "landmarker": "distill.train",
    "landmarker_twin": "distill.train --no-distill",
    "detector": "distill.train",
    "detector_twin": "distill.train --no-distill",
    "evaluate": "students.evaluate",
    "export": "students.export",
}
REPORT = "report"  # the folder that the report itself is written to
STUDENTS = ("landmarker", "landmarker_twin", "detector", "detector_twin")
NAMES = {
    "teacher": "teacher",
    "ear_detector": "EarDetector",
    "landmarker": "distilled",
    "detector": "distilled",
    "landmarker_twin": "twin",
    "detector_twin": "twin",
}
PAINT = {  # CSS variables of the page
    "teacher": "teacher",
    "ear_detector": "teacher",
    "landmarker": "student",
    "detector": "student",
    "landmarker_twin": "twin",
    "detector_twin": "twin",
}
