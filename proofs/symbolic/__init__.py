"""Symbolic certificates: `CERTIFICATES` by name, each with `check()` and `str()`."""

from .beta import BETA
from .certificate import Certificate, Obligation, Verdict
from .chebyshev_gap import CHEBYSHEV_GAP
from .horvitz_thompson import HORVITZ_THOMPSON
from .hypergeometric_form import HYPERGEOMETRIC_FORM
from .joint_inclusion import JOINT_INCLUSION
from .limit import LIMIT_CERTIFICATE
from .normalization import NORMALIZATION
from .telescoping import TELESCOPING
from .theorem_1 import THEOREM_1

CERTIFICATES = {
    certificate.name: certificate
    for certificate in (
        THEOREM_1,
        NORMALIZATION,
        HYPERGEOMETRIC_FORM,
        TELESCOPING,
        BETA,
        LIMIT_CERTIFICATE,
        JOINT_INCLUSION,
        CHEBYSHEV_GAP,
        HORVITZ_THOMPSON,
    )
}

__all__ = ["CERTIFICATES", "Certificate", "Obligation", "Verdict"]
