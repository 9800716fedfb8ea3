"""The spec of a DistillationJob: what a user asks for.

Every field's docstring is what ``kubectl explain`` prints. Rules that JSON schema can't say are CEL rules next to the
model (``Rule``); the API server enforces both at apply time, and ``validate`` on the command line enforces the same.
"""

from distillation_api.spec.generation import Generation, Sampling
from distillation_api.spec.job import DECIDES, DETERMINING, DistillationJobSpec
from distillation_api.spec.models import Student, Teacher
from distillation_api.spec.objectives import LogitMatching, Objective, Schedule, SupervisedFineTuning
from distillation_api.spec.placement import Accelerator, Resources
from distillation_api.spec.pod import EnvVariable, PodOptions, Toleration
from distillation_api.spec.policies import Budget, Queue, Retries
from distillation_api.spec.preview import Preview
from distillation_api.spec.results import Conversion, Evaluation, Export, ExportTarget, Requirement
from distillation_api.spec.sources import (
    Dataset,
    DatasetSource,
    Gcs,
    HuggingFaceDataset,
    HuggingFaceModel,
    Messages,
    ModelSource,
)
from distillation_api.spec.storage import GcsBucket, PersistentVolumeClaim, SecretKey, Storage
from distillation_api.spec.training import AXES, AxisSize, Parallelism, Training, TrainingStage
from distillation_api.spec.types import NAME_LIMIT, ColumnName, GcsUri, HubRepo, Name, Prefix, Quantity, StoragePath

__all__ = [
    "AXES",
    "DECIDES",
    "DETERMINING",
    "NAME_LIMIT",
    "Accelerator",
    "AxisSize",
    "Budget",
    "ColumnName",
    "Conversion",
    "Dataset",
    "DatasetSource",
    "DistillationJobSpec",
    "EnvVariable",
    "Evaluation",
    "Export",
    "ExportTarget",
    "Gcs",
    "GcsBucket",
    "GcsUri",
    "Generation",
    "HubRepo",
    "HuggingFaceDataset",
    "HuggingFaceModel",
    "LogitMatching",
    "Messages",
    "ModelSource",
    "Name",
    "Objective",
    "Parallelism",
    "PersistentVolumeClaim",
    "PodOptions",
    "Prefix",
    "Preview",
    "Quantity",
    "Queue",
    "Requirement",
    "Resources",
    "Retries",
    "Sampling",
    "Schedule",
    "SecretKey",
    "Storage",
    "StoragePath",
    "Student",
    "SupervisedFineTuning",
    "Teacher",
    "Toleration",
    "Training",
    "TrainingStage",
]
