"""Scores of the student before and after, and the report."""
