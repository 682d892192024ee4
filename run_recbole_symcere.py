"""Train, convert and audit from a checkout; `recbole-symcere` is the same once installed."""

import sys

from recbole_symcere.cli import main

if __name__ == "__main__":
    sys.exit(main())
