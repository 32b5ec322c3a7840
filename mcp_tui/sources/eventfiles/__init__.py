"""TensorBoard's event files among a run's artifacts.

They may be large, broken or hostile: their heads are fetched into a private folder under names of
our own, and a process of its own, bounded in memory and time, reads them with TensorBoard's reader
(the extra ``tensorboard``).
"""

from __future__ import annotations

from mcp_tui.sources.eventfiles.fetch import EventScalars, read_events

__all__ = ["EventScalars", "read_events"]
