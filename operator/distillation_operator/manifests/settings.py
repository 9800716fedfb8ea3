"""What the installation decides, not the user: the images of the stages."""

from dataclasses import dataclass

from distillation_operator.pipeline.stages import Image


@dataclass(frozen=True)
class Installation:
    """Settings of one operator."""

    converter_image: str = "distillation-operator/converter:dev"
    teacher_image: str = "distillation-operator/teacher:dev"
    trainer_image: str = "distillation-operator/trainer:dev"

    def image(self, image: Image) -> str:
        """The reference of a stage's image."""
        return {"converter": self.converter_image, "teacher": self.teacher_image, "trainer": self.trainer_image}[image]
