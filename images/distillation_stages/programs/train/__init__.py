"""One training stage, by MaxText's trainers."""
