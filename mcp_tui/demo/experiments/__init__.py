"""The experiments that the demo's MLflow holds: small models, really trained, at each start.

``python -P -m mcp_tui.demo.experiments``: a process of its own, so that nothing else of the demo
loads scikit-learn, and of low priority, so that the console comes first. Curves, figures, latencies
and system metrics are measured while it trains; only when it was is made up: the runs are laid out
over the week before, and their seconds stretched to minutes.
"""
