"""Items, one by one: an id, captions, and an image, a sound or a video."""

from isthmus.sources.item import Audio, Item
from isthmus.sources.opening import open_source
from isthmus.sources.source import BadItem, Source

__all__ = ["Audio", "BadItem", "Item", "Source", "open_source"]
