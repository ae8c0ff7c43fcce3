"""Rendered ears and scenes: photographs that nobody had to take, with exact boxes and landmarks."""

_WHERE = {
    "render_ear": "data.render.ear",
    "RenderedEar": "data.render.ear",
    "render_scene": "data.render.scene",
    "RenderedScene": "data.render.scene",
}
__all__ = list(_WHERE)


def __getattr__(name: str):
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_WHERE[name]), name)
