"""Run a sweep: `python scripts/tune.py [CONF] [--cluster auto|local|ADDRESS] [key=value …]`, as `raysweep tune`."""

import sys

from raysweep.cli import main

if __name__ == "__main__":
    sys.exit(main(["tune", *sys.argv[1:]]))
