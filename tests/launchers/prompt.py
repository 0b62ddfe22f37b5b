"""A user's Python at the place where they work: a test's functions run there, with a client of the cluster.

`python prompt.py '{"cluster": "a"}'` connects a client with these arguments, then takes functions from standard input,
as lines of base64 around a pickle of (source, name, arguments), and answers each with a line of the same kind: ("done",
result) or ("failed", text). What the functions print goes to standard error. `Prompt` is the other end, in the test.
"""

from __future__ import annotations

import base64
import inspect
import json
import pickle
import select
import subprocess
import sys
import textwrap
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

FILE = Path(__file__)
_SECONDS = 60.0


class PromptError(Exception):
    """A function that failed at the place, with the traceback it had there."""


class Prompt:
    """The test's end of a Python at another place.

    Parameters
    ----------
    process
        What runs this file there, with pipes for standard input and output.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self._expect(_SECONDS)

    def do(self, function: Callable[..., Any], *arguments: Any, timeout: float = _SECONDS) -> Any:
        """Call `function(rc, *arguments)` there and return its result.

        Only its source travels, so it imports what it needs. What it puts into `kept`, a dict, later ones find there.
        """
        self.begin(function, *arguments)
        return self._expect(timeout)

    def begin(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Call a function there without waiting for its result."""
        assert self.process.stdin is not None
        source = textwrap.dedent(inspect.getsource(function))
        self.process.stdin.write(_pack((source, function.__name__, arguments)))
        self.process.stdin.flush()

    def result(self, timeout: float = _SECONDS) -> Any:
        """Wait for the result of what was begun."""
        return self._expect(timeout)

    def close(self) -> None:
        """End it."""
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise

    def __enter__(self) -> Prompt:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _expect(self, timeout: float) -> Any:
        assert self.process.stdout is not None
        readable, _, _ = select.select([self.process.stdout], [], [], timeout)
        if not readable:
            self.process.kill()
            raise PromptError(f"no answer within {timeout:g} s")
        line = self.process.stdout.readline()
        if not line:
            raise PromptError(f"ended with {self.process.wait(10)}")
        outcome, value = _unpack(line)
        if outcome == "failed":
            raise PromptError(value)
        return value


def _pack(value: Any) -> str:
    return base64.b64encode(pickle.dumps(value)).decode() + "\n"


def _unpack(line: str) -> Any:
    return pickle.loads(base64.b64decode(line))


def _answer(action: Callable[[], Any]) -> str:
    try:
        return _pack(("done", action()))
    except BaseException:
        return _pack(("failed", traceback.format_exc()))


def main() -> None:
    """The other end."""
    answers, sys.stdout = sys.stdout, sys.stderr
    space: dict[str, Any] = {"__name__": "__main__", "kept": {}}

    def say(line: str) -> None:
        answers.write(line)
        answers.flush()

    def connect() -> None:
        import ipclusterz

        space["rc"] = ipclusterz.Client(**json.loads(sys.argv[1]))

    def call(line: str) -> Any:
        source, name, arguments = _unpack(line)
        exec(source, space)
        return space[name](space["rc"], *arguments)

    connected = _answer(connect)
    say(connected)
    if "rc" not in space:
        sys.exit(1)
    for line in sys.stdin:
        say(_answer(lambda line=line: call(line)))
    space["rc"].close()


if __name__ == "__main__":
    main()
