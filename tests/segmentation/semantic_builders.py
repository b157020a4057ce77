"""What a published semantic network is shown of a photo."""

from cleanplate.hub import get_model
from cleanplate.ops import resize
from cleanplate.segmentation.models.semantic import published_size
from cleanplate.types import RGBImage


def resized_as_published(photo: RGBImage) -> RGBImage:
    """Return the photo at the size that torchvision's transform gives it."""
    given = get_model("fcn_resnet50.coco_voc").preprocessing
    return resize(photo, published_size(given, photo.shape[:2]), antialias=True)
