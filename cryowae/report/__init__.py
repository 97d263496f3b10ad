"""Pictures: what a restoration did, how a training went, how methods compare.

Every `draw_...` function takes arrays (mapped ones too: only the slices and the central block that are shown are read)
and writes one PNG. No figure touches the state of `matplotlib.pyplot`.
"""

from cryowae.report.curves import draw_halves_fsc, draw_training_curves
from cryowae.report.fsc import FscCurve, draw_fsc_curves
from cryowae.report.grids import SheetEntry, draw_contact_sheet, draw_volumes_grid
from cryowae.report.overview import RestorationFacts, draw_restoration
from cryowae.report.spectra import Comparison, compare_spectra
from cryowae.report.wedges import draw_wedge

__all__ = [
    "Comparison",
    "FscCurve",
    "RestorationFacts",
    "SheetEntry",
    "compare_spectra",
    "draw_contact_sheet",
    "draw_fsc_curves",
    "draw_halves_fsc",
    "draw_restoration",
    "draw_training_curves",
    "draw_volumes_grid",
    "draw_wedge",
]
