"""A world of scenes that are seen, heard and told of, each a function of two numbers."""

from isthmus.sources.world.caption import captions, write_caption
from isthmus.sources.world.facts import Facts, Told, fitting
from isthmus.sources.world.picture import FRAMES, draw_picture, draw_video
from isthmus.sources.world.reading import read_caption
from isthmus.sources.world.scene import WIDTH, Scene, Thing, draw_scene
from isthmus.sources.world.sound import RATE, play
from isthmus.sources.world.source import DETAIL, SPLITS, world, world_item
from isthmus.sources.world.words import vocabulary

__all__ = [
    "DETAIL",
    "FRAMES",
    "RATE",
    "SPLITS",
    "WIDTH",
    "Facts",
    "Scene",
    "Thing",
    "Told",
    "captions",
    "draw_picture",
    "draw_scene",
    "draw_video",
    "fitting",
    "play",
    "read_caption",
    "vocabulary",
    "world",
    "world_item",
    "write_caption",
]
