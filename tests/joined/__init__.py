"""What every benchmark, fault schedule and fuzz test goes through: one literal tuple for each kind.

A new source, action, command or pane stands in its tuple and is part of them all. One that forgets
to join fails a test, which finds what there is without these tuples.
"""
