"""The backend of the console: the protocols of ``model.py`` over store, sources and actions."""
