"""What the operator and the stage programs say to each other.

In: the environment variable ``STAGE_SPEC``, a ``StageSpec`` as JSON; the storage mounted at ``STORAGE_MOUNT``.
Out: progress lines on standard output, a ``StageResult`` in the termination log and, the same, as the done marker
``MARKER_NAME`` in the stage's output directory. All paths are relative to the storage mount, with forward slashes.
"""

from distillation_api.contract.check_tokenizers import CheckTokenizersProgram
from distillation_api.contract.common import (
    HuggingFaceRepo,
    Lineage,
    ProgramModel,
    ReadsOutput,
    ReportedStage,
    Source,
    StageOutput,
)
from distillation_api.contract.convert import ConvertProgram
from distillation_api.contract.directories import (
    FINGERPRINT_DIGITS,
    STAGE_FOLDER,
    Work,
    output_directory,
    work_at,
)
from distillation_api.contract.environment import (
    COMPILE_CACHE_ENV,
    EXIT_BAD_CONFIGURATION,
    EXIT_BAD_INPUT,
    EXIT_DONE,
    EXIT_TERMINATED,
    EXIT_TRY_AGAIN,
    GRACE_SECONDS,
    GRACE_SECONDS_ENV,
    JOB_ENV,
    LOG_TAILS_ENV,
    MARKER_NAME,
    NO_LOG_TAILS,
    PERMANENT_EXIT_CODES,
    SCRATCH_MOUNT,
    SECRET_VARIABLES_ENV,
    STAGE_SPEC_ENV,
    STORAGE_MOUNT,
    TERMINATION_MESSAGE_LIMIT,
    WRITER_ENV,
)
from distillation_api.contract.evaluate import EvaluateProgram
from distillation_api.contract.export import ExportProgram
from distillation_api.contract.fetch import FetchProgram
from distillation_api.contract.generate import FirstRows, GenerateProgram, Sampling
from distillation_api.contract.measurements import MEASURED, Measurements
from distillation_api.contract.messages import Progress, StageFailure, StageResult, StartUp
from distillation_api.contract.objectives import LogitMatching, Objective, SupervisedFineTuning
from distillation_api.contract.pack import PackProgram
from distillation_api.contract.preflight import PlannedGeneration, PlannedTraining, PreflightProgram
from distillation_api.contract.prepare import DIRECTORY_RENAME, DirectoryRename, MessageSpelling, PrepareProgram
from distillation_api.contract.publish import PublishProgram
from distillation_api.contract.report_facts import (
    FACTS_NAME,
    AnswerFigures,
    Curve,
    Gate,
    HeldOutPoint,
    JobIdentity,
    ModelScore,
    ModelSize,
    ReportFacts,
    RowCounts,
    SourceNames,
    StageFigures,
)
from distillation_api.contract.stage_spec import Program, StageSpec
from distillation_api.contract.train import TrainProgram
from distillation_api.contract.training_data import TrainData, TrainOn

__all__ = [
    "COMPILE_CACHE_ENV",
    "DIRECTORY_RENAME",
    "EXIT_BAD_CONFIGURATION",
    "EXIT_BAD_INPUT",
    "EXIT_DONE",
    "EXIT_TERMINATED",
    "EXIT_TRY_AGAIN",
    "FACTS_NAME",
    "FINGERPRINT_DIGITS",
    "GRACE_SECONDS",
    "GRACE_SECONDS_ENV",
    "JOB_ENV",
    "LOG_TAILS_ENV",
    "MARKER_NAME",
    "MEASURED",
    "NO_LOG_TAILS",
    "PERMANENT_EXIT_CODES",
    "SCRATCH_MOUNT",
    "SECRET_VARIABLES_ENV",
    "STAGE_FOLDER",
    "STAGE_SPEC_ENV",
    "STORAGE_MOUNT",
    "TERMINATION_MESSAGE_LIMIT",
    "WRITER_ENV",
    "AnswerFigures",
    "CheckTokenizersProgram",
    "ConvertProgram",
    "Curve",
    "DirectoryRename",
    "EvaluateProgram",
    "ExportProgram",
    "FetchProgram",
    "FirstRows",
    "Gate",
    "GenerateProgram",
    "HeldOutPoint",
    "HuggingFaceRepo",
    "JobIdentity",
    "Lineage",
    "LogitMatching",
    "Measurements",
    "MessageSpelling",
    "ModelScore",
    "ModelSize",
    "Objective",
    "PackProgram",
    "PlannedGeneration",
    "PlannedTraining",
    "PreflightProgram",
    "PrepareProgram",
    "Program",
    "ProgramModel",
    "Progress",
    "PublishProgram",
    "ReadsOutput",
    "ReportFacts",
    "ReportedStage",
    "RowCounts",
    "Sampling",
    "Source",
    "SourceNames",
    "StageFailure",
    "StageFigures",
    "StageOutput",
    "StageResult",
    "StageSpec",
    "StartUp",
    "SupervisedFineTuning",
    "TrainData",
    "TrainOn",
    "TrainProgram",
    "Work",
    "output_directory",
    "work_at",
]
