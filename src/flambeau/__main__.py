"""``python -m flambeau``: the same as the ``flambeau`` command."""

from flambeau.cli.flambeau import main

if __name__ == "__main__":
    main()
