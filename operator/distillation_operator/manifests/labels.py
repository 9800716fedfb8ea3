"""Labels of children, by which they and their pods are found again. Never a user's string: only names of ours."""

JOB_LABEL = "distillation.dev/job"
STAGE_LABEL = "distillation.dev/stage"
ATTEMPT_LABEL = "distillation.dev/attempt"
CHILD_LABEL = "distillation.dev/child"
MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGER = "distillation-operator"
FINGERPRINT_ANNOTATION = "distillation.dev/fingerprint"
OUTPUT_ANNOTATION = "distillation.dev/output"
"""What the pods of a child were asked to write, and where: a newer operator would ask otherwise."""
SELECTOR = f"{MANAGED_BY}={MANAGER}"
KUEUE_LABEL = "kueue.x-k8s.io/queue-name"
PRIORITY_LABEL = "kueue.x-k8s.io/priority-class"
"""Kueue's own priority, of a WorkloadPriorityClass; pods have another."""
RUN_DURATION_ANNOTATION = "provreq.kueue.x-k8s.io/maxRunDurationSeconds"
"""Kueue makes annotations of this prefix parameters of its ProvisioningRequest."""


def child_labels(job: str, stage: str, attempt: int, child: str) -> dict[str, str]:
    """The labels of an attempt's child and of its pods."""
    return {
        MANAGED_BY: MANAGER,
        JOB_LABEL: job,
        STAGE_LABEL: stage,
        ATTEMPT_LABEL: str(attempt),
        CHILD_LABEL: child,
    }
