"""The one learning-rate schedule of all trainings: by steps or by minutes; on how many machines they run."""

from types import SimpleNamespace

import pytest
import torch

from teacher.training.callbacks import MinutesBudget
from teacher.training.optimizer import ScheduledModule, build_optimizer, schedule, training_progress
from teacher.training.trainer import nodes


def budget(minutes, used_minutes):
    found = MinutesBudget(minutes)
    found.used_s = 60.0 * used_minutes
    return found


def trainer(step, *callbacks):
    return SimpleNamespace(global_step=step, callbacks=list(callbacks), estimated_stepping_batches=100)


@pytest.mark.parametrize(
    ("step", "callbacks", "expected"),
    [
        (25, [], 0.25),
        (25, [budget(0.0, 9.0)], 0.25),  # no limit
        (25, [budget(10.0, 5.0)], 0.5),  # the clock is further
        (75, [budget(10.0, 5.0)], 0.75),
        (25, [budget(10.0, 50.0)], 1.0),
    ],
)
def test_progress_is_by_steps_or_by_minutes_whichever_is_further(step, callbacks, expected):
    assert training_progress(trainer(step, *callbacks), 100) == expected


class Module(ScheduledModule):
    def __init__(self, lr, warmup_steps, optimizer, trainer):
        super().__init__()
        self.lr, self.warmup_steps = lr, warmup_steps
        self._optimizer, self._trained_by = optimizer, trainer

    def optimizers(self):
        return self._optimizer

    @property
    def trainer(self):
        return self._trained_by

    @property
    def global_step(self):
        return self._trained_by.global_step


def test_every_training_has_the_rate_of_its_clock():
    """A third of the steps are done, two thirds of the minutes: the rate is that of two thirds."""
    weights = [torch.nn.Parameter(torch.zeros(2)) for _ in range(2)]
    optimizer = torch.optim.SGD([{"params": weights[:1]}, {"params": weights[1:], "lr_scale": 0.1}], lr=1.0)
    module = Module(0.5, 10, optimizer, trainer(33, budget(3.0, 2.0)))
    module.on_train_batch_start(None, 0)
    expected = 0.5 * schedule(2 / 3, 33, 10)
    rates = [group["lr"] for group in optimizer.param_groups]
    assert rates == pytest.approx([expected, 0.1 * expected])
    assert expected < 0.5 * schedule(1 / 3, 33, 10)


def test_the_margin_teachers_rate_falls_by_the_clock_too():
    from teacher.margin.module import EarTeacherLightningModule
    from tests.tiny_backbones import TINY_MARGIN

    given = {key: value for key, value in TINY_MARGIN.items() if key not in ("batch_size", "num_workers")}
    module = EarTeacherLightningModule(learning_rate=0.5, max_epochs=10, **{**given, "warmup_epochs": 1})
    module._trainer = SimpleNamespace(**vars(trainer(33, budget(3.0, 2.0))), precision="32-true")
    assert module.warmup_steps == 10  # an epoch of the hundred steps
    assert module.progress == pytest.approx(2 / 3)


def test_one_kernel_except_where_it_would_unscale():
    weights = [{"params": [torch.nn.Parameter(torch.zeros(2))]}]
    assert build_optimizer(weights, 0.1, "32-true").defaults["fused"] is True
    assert build_optimizer(weights, 0.1, "16-mixed").defaults["fused"] is False
    assert build_optimizer(weights, 0.1, "32-true", one_kernel=False).defaults["fused"] is None


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, 1),
        ({"WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "4"}, 2),
        ({"WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "4", "SLURM_NTASKS": "9", "SLURM_NNODES": "9"}, 2),
        ({"SLURM_NTASKS": "8", "SLURM_NNODES": "2"}, 2),
        ({"SLURM_NTASKS": "8", "SLURM_JOB_NUM_NODES": "2"}, 2),
        ({"SLURM_NNODES": "2"}, 1),  # one process in an allocation of two
        ({"SLURM_NTASKS": "8", "SLURM_NNODES": "2", "SLURM_JOB_NAME": "interactive"}, 1),
    ],
)
def test_machines_are_counted_by_the_environment(variables, expected, monkeypatch):
    for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE", "SLURM_NTASKS", "SLURM_NNODES", "SLURM_JOB_NUM_NODES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("SLURM_JOB_NAME", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert nodes() == expected
