"""Entry point of ``live-eels`` and ``python -m live_eels``."""

from live_eels.cli import main

if __name__ == "__main__":
    main()
