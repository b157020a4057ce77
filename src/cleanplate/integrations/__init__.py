"""Other libraries: augmentation that takes clean plates from a cache, and detections.

Each module needs the library it is named after; importing this package needs none.
"""

from cleanplate.integrations.plates import OnMissing, Plate, PlateCache

__all__ = ["OnMissing", "Plate", "PlateCache"]
