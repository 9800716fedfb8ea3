"""Property-based tests are about what is true, not about how fast a busy machine finds it out; and signals reach what
tests start, however the tests were started.
"""

import signal

from hypothesis import settings

settings.register_profile("any machine", deadline=None, database=None)
settings.load_profile("any machine")

# Whoever runs tests by nohup, or in the background of a script, has them and all that they start ignore these.
for number in (signal.SIGHUP, signal.SIGINT):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
