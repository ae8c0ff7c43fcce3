"""Recipes (YAML), and what turns them, or flags, into the configuration of a command."""

from configs.lazy import lazy_names

__getattr__, __all__ = lazy_names(
    __name__,
    {
        "UserError": "configs.errors",
        "did_you_mean": "configs.errors",
        "build": "configs.build",
        "load_recipe": "configs.recipe",
        "Recipe": "configs.recipe",
        "run_command": "configs.command",
        "write_atomic": "configs.files",
        "write_json": "configs.files",
        "read_json": "configs.reading.content",
        "write_provenance": "configs.provenance",
    },
)
