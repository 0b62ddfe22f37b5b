"""Prints the value of a task as one line of JSON, or writes it to the file that is named.

Standard input has a line of JSON about the answer, and its frames.
"""

import json
import os
import sys
from types import SimpleNamespace

# Longer ones are cut.
LONGEST = 1 << 20


def main():
    about = json.loads(sys.stdin.buffer.readline())
    frames = [bytearray(sys.stdin.buffer.read(length)) for length in about.pop("lengths")]
    from ipclusterz.client.answers import Elements, Failure, value_of

    value = value_of(SimpleNamespace(frames=frames, **about), "apply")
    if isinstance(value, Elements):
        value = next(iter(value.failed.values()), value.values)
    error = value.error if isinstance(value, Failure) else value if about["status"] == "error" else None
    if error is not None:
        return str(error), True
    if len(sys.argv) > 1:
        write(value, sys.argv[1])
    return repr(value)[:LONGEST], False


def write(value, path):
    from pickle import dumps

    pickled = dumps(value)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(pickled)


text, is_error = main()
print("\n" + json.dumps({"ipclusterz_value": text, "is_error": is_error}), flush=True)
