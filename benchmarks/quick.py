"""What the programs of this folder take alike: --help, and --quick for a reduced form.

The reduced form takes seconds instead of minutes: its numbers mean nothing, and it writes no
picture; `make slow` runs each, so that none rots.

Whoever imports this module has the command line read: --help tells what the program says of itself
and runs nothing, and an option that it does not name is refused.
"""

import re
import sys
from pathlib import Path


def read_options(arguments: list[str], told: str) -> bool:
    """Take --quick from the arguments of a program; return whether it was there.

    Args:
        arguments: without the program's name; changed in place.
        told: what the program says of itself.
    """
    if {"-h", "--help"} & {*arguments}:
        print(told.strip())
        sys.exit(0)
    known = re.findall(r"--\w+", told)
    for one in arguments:
        if one.startswith("-") and one.partition("=")[0] not in known:
            sys.exit(f"the option must be {' or '.join(known) or 'none'}, got {one}; see --help")
    quick = "--quick" in arguments
    arguments[:] = [one for one in arguments if one != "--quick"]
    return quick


QUICK = False
_program = sys.modules["__main__"]
if Path(getattr(_program, "__file__", None) or "").parent == Path(__file__).parent:
    _given = sys.argv[1:]
    QUICK = read_options(_given, _program.__doc__ or "")
    sys.argv[1:] = _given
