"""`python -m tinygrad_gm` is the command `tinygrad-gm`."""

import sys

from .app.cli import main

sys.exit(main())
