"""`python -m nnscratch`."""

from nnscratch.cli import main

main()
