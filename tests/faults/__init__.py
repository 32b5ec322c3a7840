"""The fault proxy, and the tests of what it does to us."""
