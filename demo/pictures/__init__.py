"""The pictures of the README, drawn by the project's own code."""
