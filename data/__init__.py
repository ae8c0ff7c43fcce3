"""From photographs and annotations, or from the renderer, to batches of crops and frames."""

from configs.lazy import lazy_names

__getattr__, __all__ = lazy_names(
    __name__,
    {
        "Manifest": "data.manifest",
        "read_manifest": "data.manifest",
        "write_manifest": "data.manifest",
        "read_image": "data.images",
        "crop_matrix": "data.crops",
        "Geometry": "data.transforms",
        "GeometryConfig": "data.augmentation",
        "Photometry": "data.transforms",
        "PhotometryConfig": "data.augmentation",
        "FrameAugmentation": "data.transforms",
        "EarCrops": "data.dataset",
        "Frames": "data.dataset",
        "collate_frames": "data.dataset",
        "EarDataModule": "data.loading.datamodule",
        "landmark_report": "data.metrics",
        "nme": "data.metrics",
        "load_scheme": "data.landmarks",
        "Scheme": "data.landmarks",
    },
)
