"""``python -m zsync`` is the command."""

from zsync.cli import main

main()
