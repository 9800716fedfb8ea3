"""Every reason that a user may read, as data: ``reasons.TOO_FEW_ROWS`` names it wherever it is told.

One module for each kind of cost, and one for Kubernetes' own words for pods that don't run. Others of Kubernetes are
passed on as they are.
"""

from collections.abc import Mapping

from distillation_api.reasons.conditions import *  # noqa: F403
from distillation_api.reasons.events import *  # noqa: F403
from distillation_api.reasons.final_configuration import *  # noqa: F403
from distillation_api.reasons.final_input import *  # noqa: F403
from distillation_api.reasons.reason import Reason
from distillation_api.reasons.retried import *  # noqa: F403
from distillation_api.reasons.rows import *  # noqa: F403
from distillation_api.reasons.waiting import *  # noqa: F403
from distillation_api.reasons.waiting_pods import *  # noqa: F403

CONSTANTS: Mapping[str, Reason] = {name: value for name, value in globals().items() if isinstance(value, Reason)}
"""The reasons by the name of their constant."""

REASONS: Mapping[str, Reason] = {reason.name: reason for reason in CONSTANTS.values()}
"""The reasons by the name that users see."""
