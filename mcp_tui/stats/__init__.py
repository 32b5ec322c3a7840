"""Statistics on plain numbers: no I/O, no clock, and numpy or scipy only inside functions.

Every function names the source of its formula.
"""
