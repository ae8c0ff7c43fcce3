"""Rendered ears and scenes: photographs that nobody had to take, with exact boxes and landmarks."""

from configs.lazy import lazy_names

__getattr__, __all__ = lazy_names(
    __name__,
    {
        "render_ear": "data.render.scene.photograph",
        "RenderedEar": "data.render.scene.photograph",
        "render_scene": "data.render.scene.scene",
        "RenderedScene": "data.render.scene.scene",
    },
)
