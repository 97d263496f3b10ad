"""Pictures: the effect of a restoration, the curves of a training, the comparison of methods.

Every `draw_...` function takes arrays (mapped ones too: only the slices and the central block that are shown are read)
and writes one PNG. No figure touches the state of `matplotlib.pyplot`.
"""

from cryowae.report.correlations import FscCurve, draw_fsc_curves
from cryowae.report.halves import draw_halves_fsc
from cryowae.report.overview import RestorationFacts, draw_restoration
from cryowae.report.sheets import SheetEntry, draw_contact_sheet, draw_volumes_grid
from cryowae.report.spectra import Comparison, compare_spectra
from cryowae.report.training_curves import draw_training_curves
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
