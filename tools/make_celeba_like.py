"""Draw test images with the names, sizes and folder layout of CelebA.

    python tools/make_celeba_like.py FOLDER [--count 2000] [--seed 0]

They test the reader and the whole pipeline without CelebA. An image shows an oval with eyes and a mouth on a
background; colours, positions and sizes vary. Figures measured on these images are not valid for CelebA.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cryowae.data.images import FACES
from cryowae.progress import TerminalProgress

WIDTH, HEIGHT = 178, 218


def main() -> None:
    """Write the images and the list of partitions that CelebA has beside them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    images: Path = args.folder / FACES
    images.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(args.seed)
    names = [f"{i + 1:06d}.jpg" for i in range(args.count)]
    with TerminalProgress() as progress:
        progress.begin("drawing", args.count, "pictures")
        for name in names:
            Image.fromarray(draw_face(generator)).save(images / name, quality=92)
            progress.advance()
    tenths = (i * 10 // args.count for i in range(args.count))  # CelebA: 0 train, 1 valid, 2 test
    parts = "".join(f"{name} {max(tenth - 7, 0)}\n" for name, tenth in zip(names, tenths, strict=True))
    (args.folder / "list_eval_partition.txt").write_text(parts)
    print(args.folder)


def draw_face(generator: np.random.Generator) -> NDArray[np.uint8]:
    """`(218, 178, 3)`: a background with a vertical gradient, an oval, two eyes and a mouth."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    top, bottom, hair, skin = generator.uniform((0, 0, 0, 0.35), (0.9, 0.9, 0.6, 0.95), (3, 4)).T
    canvas = top + (bottom - top) * (y / HEIGHT)[..., None]
    cx, cy = WIDTH / 2 + generator.normal(0, 4), HEIGHT / 2 + 6 + generator.normal(0, 4)
    wide, tall = generator.normal(44, 3), generator.normal(58, 4)
    mouth, smile = generator.normal(16, 2), generator.normal(4, 2)

    def oval(px: float, py: float, a: float, b: float) -> NDArray[np.float32]:
        distance = np.sqrt(((x - px) / a) ** 2 + ((y - py) / b) ** 2)
        soft: NDArray[np.float32] = np.clip((1 - distance) * min(a, b) / 2 + 0.5, 0, 1)
        return soft

    def paint(mask: NDArray[np.float32], colour: NDArray[np.float64]) -> None:
        canvas[:] += mask[..., None] * (colour - canvas)

    paint(oval(cx, cy - 14, wide * 1.2, tall * 1.15), hair)
    paint(oval(cx, cy, wide, tall), skin)
    for side in (-1, 1):
        paint(oval(cx + side * wide * 0.42, cy - 10, 8, 5), np.full(3, 0.95))
        paint(oval(cx + side * wide * 0.42, cy - 10, 3.5, 3.5), np.full(3, 0.1))
    bent = y + smile * ((x - cx) / mouth) ** 2
    paint(np.clip(1 - np.hypot((x - cx) / mouth, (bent - cy - 30) / 4), 0, 0.5) * 2, np.array([0.6, 0.15, 0.2]))
    canvas += generator.normal(0, 0.01, canvas.shape)
    return np.asarray(np.clip(canvas * 255, 0, 255), np.uint8)


if __name__ == "__main__":
    main()
