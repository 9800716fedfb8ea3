"""From stages to the Jobs and JobSets that run them, and from Kubernetes objects back to what is observed. Pure."""
