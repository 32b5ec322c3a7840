"""Tests of mcp-tui; run from the root of the checkout."""
