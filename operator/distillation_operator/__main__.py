"""``python -m distillation_operator``: the same as the command ``distillation-operator``."""

import sys

from distillation_operator.cli import main

if __name__ == "__main__":
    sys.exit(main())
