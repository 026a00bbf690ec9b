"""Serve the fine-tuning wire: `python scripts/serve.py [--engine synthetic|lora] [--port N] …`, as `raysweep serve`."""

import sys

from raysweep.cli import main

if __name__ == "__main__":
    sys.exit(main(["serve", *sys.argv[1:]]))
