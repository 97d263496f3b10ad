"""Pictures: what a restoration did, how a training went, how methods compare.

Every `draw_...` function takes arrays (mapped ones too: only the slices and the central block that are shown are read)
and writes one PNG. No figure touches the state of `matplotlib.pyplot`.
"""

from cryowae.report.restoration import RestorationFacts, draw_restoration
from cryowae.report.spectra import Comparison, compare_spectra

__all__ = ["Comparison", "RestorationFacts", "compare_spectra", "draw_restoration"]
