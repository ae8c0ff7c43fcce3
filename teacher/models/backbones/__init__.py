"""The families of image backbones a teacher can stand on: `build_backbone`, and their table, `published`."""
