"""`python -m standfast` is `standfast`."""

from standfast.cli.main import main

main()
