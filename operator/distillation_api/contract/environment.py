"""What a pod of a stage finds around it: variables, mounts, names, and the exit codes that the operator reads."""

STAGE_SPEC_ENV = "STAGE_SPEC"


WRITER_ENV = "WRITER"
"""The DistillationJob's UID: what a pod of it has left unfinished in the storage is removed by the next pod of it."""


JOB_ENV = "DISTILLATION_JOB"
"""``NAMESPACE/NAME`` of the DistillationJob, which a report names; no output depends on it."""


LOG_TAILS_ENV = "LOG_TAILS"
NO_LOG_TAILS = "no"
"""Value of it where the installation keeps the words of crashed programs out of the status."""


COMPILE_CACHE_ENV = "COMPILE_CACHE"
"""Folder inside the storage for compiled programs, where the installation shares them; without it they stay in the
pod: whoever writes them there runs code in the pods that read them."""


SECRET_VARIABLES_ENV = "SECRET_VARIABLES"
"""Names of the variables that hold a user's secret, with commas; the Hub's token is one anyway."""


GRACE_SECONDS_ENV = "GRACE_SECONDS"
"""Seconds between SIGTERM and SIGKILL of a training's pod, where they aren't ``GRACE_SECONDS``."""
GRACE_SECONDS = 60
"""Of a pod of which nothing else is known: what a program needs to end its workers."""


STORAGE_MOUNT = "/storage"


SCRATCH_MOUNT = "/tmp"


MARKER_NAME = "_DONE.json"


TERMINATION_MESSAGE_LIMIT = 4096


EXIT_DONE = 0


EXIT_BAD_INPUT = 65


EXIT_TRY_AGAIN = 75


EXIT_BAD_CONFIGURATION = 78


EXIT_TERMINATED = 143


PERMANENT_EXIT_CODES = (EXIT_BAD_INPUT, EXIT_BAD_CONFIGURATION)
