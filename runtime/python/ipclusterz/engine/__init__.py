"""The engine's side: one process that runs a client's calls in a namespace that lasts.

Start it with ``python -m ipclusterz.engine``. This file is empty on purpose: it is imported before an engine can say
hello, and by a client that packs bound functions.
"""
