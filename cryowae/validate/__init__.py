"""Evidence on a user's own data: does a restoration agree with measurements that it was not made from?"""

from cryowae.validate.evidence import Control, Evidence
from cryowae.validate.evidence_files import validate_halves, validate_series
from cryowae.validate.half_sets import score_halves
from cryowae.validate.held_out import score_held_out
from cryowae.validate.result import ValidateResult

__all__ = [
    "Control",
    "Evidence",
    "ValidateResult",
    "score_halves",
    "score_held_out",
    "validate_halves",
    "validate_series",
]
