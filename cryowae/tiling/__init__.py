"""Windows over volumes of any size: `plan_windows` places them, `apply_tiled` sends them through a network."""

from cryowae.tiling.engine import apply_tiled, read_window
from cryowae.tiling.plan import Shape, Tiling, WindowPlan, plan_windows

__all__ = ["Shape", "Tiling", "WindowPlan", "apply_tiled", "plan_windows", "read_window"]
