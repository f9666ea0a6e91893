"""Images for vision models: any folder of them, one folder a class, decoded to one size, as batches."""

from jaxlab.images.decode import Resize, read_image
from jaxlab.images.folder import ImageFolder, image_folder
from jaxlab.images.images import Images, open_images
from jaxlab.images.stream import Stream

__all__ = ["ImageFolder", "Images", "Resize", "Stream", "image_folder", "open_images", "read_image"]
