"""Finding the object that an example shows."""

from cleanplate.segmentation.by_example.segmenter import ExampleSegmenter

__all__ = [
    "ExampleSegmenter",
]
