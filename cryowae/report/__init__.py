"""Pictures: the effect of a restoration, the curves of a training, the comparison of methods.

Every `draw_...` function takes arrays (mapped ones too: only the slices and the central block that are shown are read)
and writes one PNG. No figure changes the state of `matplotlib.pyplot`.
"""

from cryowae.report.correlations import FscCurve as FscCurve
from cryowae.report.correlations import draw_fsc_curves as draw_fsc_curves
from cryowae.report.correlations import draw_halves_fsc as draw_halves_fsc
from cryowae.report.overview import RestorationFacts as RestorationFacts
from cryowae.report.overview import draw_restoration as draw_restoration
from cryowae.report.overview import draw_wedge as draw_wedge
from cryowae.report.sheets import SheetEntry as SheetEntry
from cryowae.report.sheets import draw_contact_sheet as draw_contact_sheet
from cryowae.report.spectra import Comparison as Comparison
from cryowae.report.spectra import compare_spectra as compare_spectra
from cryowae.report.training_curves import draw_training_curves as draw_training_curves
