"""What clients and engines both speak. Nothing here connects to a cluster or runs an engine.

In reading order:

1. `serialize`: values to frames and back, and the layout of a function's code.
2. `sources`, `travel`, `rebuild`: modules that are not installed, as what is edited here and run there.
   `codes`: the names and source lines of functions.
3. `bound`, `reference`, `dependency`, `progress`: what travels inside a call besides plain values.
4. `namespace`, `names`, `cells`: what an engine holds, and the functions on it that clients call by reference.
5. `reply`, `entries`: what a cell gave, and how that is shown.
6. `scatter`: sequences to parts and back. `batches`: joblib's tasks. `ranks`: which rank a process is.
7. `own`: which engine this process is, for clients in its tasks.

This file is empty on purpose: every engine imports it before it registers.
"""
