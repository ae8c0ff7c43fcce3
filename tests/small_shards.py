"""distill.cache with two crops a shard, three views at once: started as a program of its own, as processes
that share the shards are.
"""

import distill.cache
from configs.command import run_command

if __name__ == "__main__":
    distill.cache.CROPS_A_SHARD, distill.cache.BATCH_SIZE = 2, 3
    run_command(distill.cache.Config, distill.cache.main, "distill.cache")
