"""Entry point of ``mcp-tui`` and ``python -m mcp_tui``."""

from __future__ import annotations

import sys
import warnings


def main() -> None:
    """Run the command line and leave with its exit code."""
    if not sys.warnoptions:
        # What libraries warn of is for who develops this, and would stand in the midst of a screen.
        warnings.simplefilter("ignore")
    try:
        from mcp_tui.cli import main as run

        code = run()
    except KeyboardInterrupt:
        # Before the command line could say anything.
        code = 130
    sys.exit(code)


if __name__ == "__main__":
    main()
