"""mcp-tui: the terminal console of a machine-learning control plane."""

__version__ = "0.1.0"
