"""`python -m cerfevpr_core` is the command line, where no console script is installed."""

import sys

from cerfevpr_core.cli import main

sys.exit(main())
