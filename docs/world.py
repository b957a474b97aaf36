"""Draw what docs/world.md shows: ``python docs/world.py`` writes docs/world/."""

from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import wavfile

from isthmus.sources.world import DETAIL, captions, draw_picture, draw_scene, draw_video, play

OUT = Path(__file__).parent / "world"
ROWS, COLUMNS, SCALE = 5, 12, 3
TOLD = (3, 8, 21)  # scenes that are looked at closely


def main() -> None:
    """Write the contact sheet, some videos as strips and some sounds, and print captions."""
    OUT.mkdir(exist_ok=True)
    pictures = [draw_picture(draw_scene(0, i)) for i in range(ROWS * COLUMNS)]
    _save(np.stack(pictures).reshape(ROWS, COLUMNS, 32, 32, 3), "sheet.png")
    for index in TOLD:
        scene = draw_scene(0, index)
        _save(draw_video(scene)[None], f"scene-{index}.png", scale=4)
        sound = play(scene)
        wavfile.write(
            OUT / f"scene-{index}.wav", sound.rate, np.round(sound.samples * 32767).astype(np.int16)
        )
        for detail in (DETAIL, 0.5, 1.0):
            print(index, detail, *captions(scene, detail=detail, count=2, motion=detail == 1), sep="\n  ")


def _save(tiles: np.ndarray, name: str, scale: int = SCALE) -> None:
    """Write tiles (rows, columns, height, width, 3) side by side with a white seam."""
    seamed = np.pad(tiles, ((0, 0), (0, 0), (1, 1), (1, 1), (0, 0)), constant_values=255)
    rows, columns, height, width, _ = seamed.shape
    sheet = seamed.swapaxes(1, 2).reshape(rows * height, columns * width, 3)
    image = Image.fromarray(sheet)
    image.resize((scale * image.width, scale * image.height), Image.Resampling.NEAREST).save(
        OUT / name, optimize=True
    )


main()
