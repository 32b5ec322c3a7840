"""The parts of the process node: a small kubelet whose containers are local processes."""
