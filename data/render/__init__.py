"""Rendered ears and scenes: photographs that nobody had to take, with exact boxes and landmarks."""

from configs.lazy import lazy_names

__getattr__, __all__ = lazy_names(
    __name__,
    {
        "render_ear": "data.render.ear",
        "RenderedEar": "data.render.ear",
        "render_scene": "data.render.scene",
        "RenderedScene": "data.render.scene",
    },
)
