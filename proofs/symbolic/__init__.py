"""Symbolic certificates: ``CERTIFICATES`` by name, each with ``check()`` and ``str()``."""

from proofs.symbolic.beta import BETA
from proofs.symbolic.certificate import Certificate, Obligation, Verdict
from proofs.symbolic.chebyshev_gap import CHEBYSHEV_GAP
from proofs.symbolic.horvitz_thompson import HORVITZ_THOMPSON
from proofs.symbolic.hypergeometric_form import HYPERGEOMETRIC_FORM
from proofs.symbolic.joint_inclusion import JOINT_INCLUSION
from proofs.symbolic.limit import LIMIT_CERTIFICATE
from proofs.symbolic.normalization import NORMALIZATION
from proofs.symbolic.telescoping import TELESCOPING
from proofs.symbolic.theorem_1 import THEOREM_1

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
