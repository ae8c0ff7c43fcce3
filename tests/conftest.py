"""What all tests share: quiet, few threads, and one small rendered data set."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# set before anything heavy is imported
os.environ.setdefault("OMP_NUM_THREADS", "2")
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")


@pytest.fixture(scope="session")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `python -m data.render` writes: 24 ears, 12 scenes, and a few of each to validate and test."""
    from configs.build import configured
    from data.render.__main__ import Config, main

    folder = tmp_path_factory.mktemp("rendered")
    main(
        configured(
            Config,
            output_dir=folder,
            ears=24,
            val_ears=9,
            test_ears=9,
            scenes=12,
            val_scenes=4,
            test_scenes=4,
            image_px=160,
            scene_px=(240, 320),
            num_workers=0,
        )
    )
    return folder


@pytest.fixture(autouse=True, scope="session")
def fake_commands() -> None:
    """Fake stages may stand in a recipe here."""
    from distill.pipeline import commands

    commands.STAGE_COMMANDS |= {"tests.fake_stage", "tests.fake_score"}
