"""The dashboard: a page on this machine alone that shows DistillationJobs, live, and writes nothing."""
