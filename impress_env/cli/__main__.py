"""`python -m impress_env.cli`: the same as the `impress` command."""

from impress_env.cli import main

main()
