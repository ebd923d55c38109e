"""Whether a program of this folder runs its reduced form: with --quick, seconds instead of minutes.

Its numbers mean nothing, and it writes no picture; `make slow` runs each, so that none rots.
"""

import sys

QUICK = "--quick" in sys.argv
if QUICK:
    sys.argv.remove("--quick")
