"""A student's origin, for the tests of its card."""

from distillation_api.contract import HuggingFaceRepo, Lineage, ReportedStage, Source


def lineage() -> Lineage:
    """A student from the Hub, a teacher from a bucket, data from the Hub, two stages."""
    stages = [("prepare-dataset", ["prepared"]), ("train-one", ["trained"])]
    return Lineage(
        student=Source(hugging_face=HuggingFaceRepo(repo="org/student", revision="abc")),
        teacher=Source(gcs_uri="gs://bucket/teacher"),
        dataset=Source(hugging_face=HuggingFaceRepo(repo="org/data", split="train")),
        stages=[ReportedStage(name=name, outputs=outputs, chips=0) for name, outputs in stages],
    )
