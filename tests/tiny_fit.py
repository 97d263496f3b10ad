"""A fit of seconds: a tiny network, small scenes, known physics, four steps with a judgement after every second."""

from __future__ import annotations

import numpy as np

MODEL = {"widths": (4, 4, 4), "codes": (2, 2, 2), "down": (1, 1, 1), "up": (1, 1), "decode": (1, 1, 1)}
VALUES = {
    "name": "tiny",
    "warmup": 1,
    "ema": 0.5,
    "objective": {"supervised": 1.0},
    "model": MODEL,
    "data": {
        "scene": (32, 48, 48),
        "crop": 16,
        "batch": 1,
        "pool": 1,
        "procedural": 1.0,
        "workers": 0,
        "membranes": 0.0,
        "filaments": 0.0,
    },
}


def make_tiny(monkeypatch, scores, drawn: bool = False) -> None:
    """Replace what takes time: the configuration, the estimate of the physics, the plan, the score by `scores`, and
    unless `drawn` the picture by one of few pixels, as many as there are scores.
    """
    import cryowae.fit as fit
    from cryowae.fit import configuration, preview
    from cryowae.fit.judge import ComponentJudge
    from cryowae.fit.physics import Physics

    angles = tuple(np.arange(-60.0, 61.0, 20.0).tolist())
    physics = Physics(10.0, angles, 0.5, (1.0, 1.0, 1.0, 1.0, 1.0), (1.0,) * 32, (0.5, 0.5), 0.5, False)
    left = list(scores)
    if not drawn:
        monkeypatch.setattr(preview, "draw_fit", small_picture)
    monkeypatch.setattr(configuration, "read_values", tiny_values(configuration.read_values))
    monkeypatch.setattr(configuration, "is_fast_in_half", lambda device: False)  # only float32 is the same to the bit
    monkeypatch.setattr(configuration, "measure_physics", lambda item, data, seed, progress: physics)
    monkeypatch.setattr(fit, "_planned", lambda config, *_: config.model_copy(update={"steps": 4, "save_every": 2}))
    monkeypatch.setattr(ComponentJudge, "score", lambda self, model: left.pop(0))


def tiny_values(read):
    """Reads the tiny configuration by any name; files are read as they are."""
    return lambda name, *rest: read(name, *rest) if str(name).endswith(".yaml") else ({**VALUES}, "tiny")


def small_picture(path, scores, volumes, *_) -> None:
    from PIL import Image

    rows = [[25 * len(volumes)] * len(scores)] * 2
    Image.fromarray(np.array(rows, np.uint8)).save(path)
