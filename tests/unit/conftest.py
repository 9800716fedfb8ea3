"""Property-based tests are about what is true, not about how fast a busy machine finds it out."""

from hypothesis import settings

settings.register_profile("any machine", deadline=None, database=None)
settings.load_profile("any machine")
