"""Several processes for one command that trains nothing, by Lightning's own launchers (Fabric): on one
machine, or where SLURM or torchrun started them.
"""

from __future__ import annotations

from datetime import timedelta

from lightning_fabric import Fabric
from lightning_fabric.strategies import DDPStrategy

from configs.errors import UserError
from teacher.training.trainer import nodes, quiet_lightning

PATIENCE = timedelta(days=1)  # of a process that is done, for the others


def launch(devices: int) -> Fabric:
    """Start the other processes, if there are to be any; each runs the same command from its start.

    devices: GPUs of each machine, or processes on its CPU. The result knows the process's `device`,
    `global_rank` and `world_size`, and lets processes wait for each other. Raises UserError below 1.
    """
    if devices < 1:
        raise UserError(f"devices={devices}: at least 1 is needed.")
    quiet_lightning()
    num_nodes = nodes()
    several = devices * num_nodes > 1
    strategy = DDPStrategy(timeout=PATIENCE) if several else "auto"
    fabric = Fabric(accelerator="auto", devices=devices, num_nodes=num_nodes, strategy=strategy)
    fabric.launch()
    return fabric
