"""One decision, pure: of the job, of each stage, and what a failure costs."""
