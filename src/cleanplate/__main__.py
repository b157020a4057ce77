"""`python -m cleanplate` is `cleanplate`."""

import sys

from cleanplate.cli import main

if __name__ == "__main__":
    sys.exit(main())
