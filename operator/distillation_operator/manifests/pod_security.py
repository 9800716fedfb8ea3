"""What to do where a namespace's Pod Security refuses the pods of a profile."""

import re

_VIOLATES = re.compile(r'violates PodSecurity "(?P<level>[a-z]+):')
_PROFILES = {"Privileged": "privileged=true", "LockedMemory": '"SYS_RESOURCE"'}
"""By what admission names of their containers."""


def with_advice(message: str, namespace: str) -> str:
    """What the API server says of pods that it refuses; where a profile is in the way, that first, with what to do."""
    found = _VIOLATES.search(message)
    profile = next((name for name, sign in _PROFILES.items() if sign in message), None)
    if found is None or profile is None:
        return message
    return (
        f"namespace {namespace} has the Pod Security level {found['level']} (label "
        "pod-security.kubernetes.io/enforce), which refuses pods of the chart's value "
        f"stagePods.acceleratorProfile={profile}: label the namespace "
        "pod-security.kubernetes.io/enforce=privileged, or set the value to Restricted. The API server says: "
        f"{message}"
    )
