"""The embedded control plane: an API server and controllers in one Python process.

It stands in for kube-apiserver, kube-controller-manager and kube-scheduler in the demo and in
fast tests. What it serves is held against the real ones by ``tests/contract``; everything else is
refused with a Status. ``python -m mcp_tui.demo.plane --dir D`` runs one.
"""
