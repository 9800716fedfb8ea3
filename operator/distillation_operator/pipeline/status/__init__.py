"""What a decision tells: the status of stages and job, chip-hours, estimates, Events."""
