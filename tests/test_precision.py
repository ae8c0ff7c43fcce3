"""bfloat16 only where the processor has it."""

import pytest
import torch

from teacher.training import precision
from teacher.training.precision import has_bfloat16, usable_precision


@pytest.fixture
def processor(monkeypatch):
    """Sets whether the CPU has bfloat16."""

    def choose(has: bool) -> None:
        has_bfloat16.cache_clear()
        monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: has)
        monkeypatch.setattr(precision.torch.cuda, "is_available", lambda: False)

    yield choose
    has_bfloat16.cache_clear()


def test_a_processor_without_bfloat16_computes_in_32_and_says_so(processor, capsys):
    processor(False)
    assert usable_precision("bf16-mixed") == "32"
    assert "this processor has no bfloat16 arithmetic, so 32 instead of bf16-mixed" in capsys.readouterr().out
    assert usable_precision("16-mixed") == "16-mixed" and usable_precision("64") == "64"
    assert not has_bfloat16("cpu") and has_bfloat16("cuda")


def test_one_that_has_it_uses_it(processor, capsys):
    processor(True)
    assert usable_precision("bf16-mixed") == "bf16-mixed"
    assert not capsys.readouterr().out
