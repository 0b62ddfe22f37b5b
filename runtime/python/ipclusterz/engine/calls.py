"""What an engine does for each operation: frames in, frames out.

Everything here runs inside the loop's guard, deserialising included, and may raise whatever it likes.
"""

from __future__ import annotations

import sys

from ..shared.progress import progress
from ..shared.serialize import FRESH, MAP, dumps, loads, split_code
from .chunks import run_chunk
from .coroutines import value_of
from .failure import called_with
from .shell import make_shell
from .streams import installed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .._core import Task
    from ..shared.namespace import Namespace
    from ..shared.serialize import Frame
    from .outcome import Shell
    from .resources import Resources
    from .state import State

    # A function, whether it is mapped, whether it has dependencies, the modules on which it was decided, and the errors
    # after which it may be called again.
    Loaded = tuple[Callable[..., object], bool, bool, tuple[Any, ...], tuple[Any, ...]]

__all__ = ["Calls"]

# Functions kept unpickled. The oldest goes first; it is unpickled again when it is called again.
_CACHE_LIMIT = 512


class Calls:
    """The operations on one namespace.

    Attributes
    ----------
    of : dict
        From the name of an operation to the method that does it.
    called_with : str
        The arguments of a call that has failed, shortened; whoever reports it sets it back.
    resources : Resources
        What it offers.
    retry_on : tuple of type
        The errors after which the last function may be called again.
    """

    __slots__ = ("_functions", "_namespace", "_shell", "_state", "called_with", "of", "resources", "retry_on")

    def __init__(self, namespace: Namespace, state: State, resources: Resources) -> None:
        self._namespace = namespace
        self.resources = resources
        self._state = state
        self.called_with = ""
        self.retry_on: tuple[Any, ...] = ()
        self._shell: Shell | None = None
        self._functions: dict[bytes, Loaded] = {}
        namespace.when_reloaded.append(self._functions.clear)
        self.of: dict[str, Callable[[Task], list[Frame]]] = {
            "apply": self.apply,
            "apply_bound": self.apply,
            "execute": self.execute,
            "push": self.push,
            "pull": self.pull,
            "clear": self.clear,
            "upload": self.upload,
            "collective": self.collective,
            "reform": self.reform,
        }

    def apply(self, task: Task) -> list[Frame]:
        """Call a function, or map it over a zip of sequences, with what the task has asked for."""
        if task.needs is None:
            return self._apply(task)
        with self.resources.lent(task.needs):
            return self._apply(task)

    def _apply(self, task: Task) -> list[Frame]:
        self.retry_on = ()
        function, mapped, dependent, _, self.retry_on = self._loaded(task)
        if dependent:
            progress.begun = False
        frames = task.frames
        if not frames:
            return dumps(value_of(function()))
        if mapped:
            return run_chunk(function, loads(frames), self._state, self._namespace.engine_id)
        arguments, keywords = loads(frames)
        try:
            value = value_of(function(*arguments, **keywords))
        except BaseException:
            self.called_with = called_with(arguments, keywords)
            raise
        return dumps(value)

    def is_dependent(self, task: Task) -> bool:
        """Whether the function of a task has dependencies. One that cannot be loaded fails when it is called."""
        try:
            return self._loaded(task)[2]
        except Exception:
            return False

    def execute(self, task: Task) -> list[Frame]:
        """Run a cell of code."""
        code, silent = loads(task.frames)
        return dumps({"code": code, **self.shell().run(code, silent)})

    def shell(self) -> Shell:
        """What runs cells; it is made when it is asked for."""
        if self._shell is None:
            # An IPython that was half imported could not be imported again.
            with self._state:
                self._shell = make_shell(self._namespace)
        return self._shell

    @property
    def count(self) -> int:
        """The number of the last cell; 0 when there was none."""
        return 0 if self._shell is None else self._shell.count

    def push(self, task: Task) -> list[Frame]:
        """Set names."""
        self._namespace.push(loads(task.frames))
        return dumps(None)

    def pull(self, task: Task) -> list[Frame]:
        """Send values of names."""
        return dumps(self._namespace.pull(loads(task.frames)))

    def clear(self, _task: Task) -> list[Frame]:
        """Forget all names."""
        self._namespace.clear()
        if self._shell is not None:
            self._shell.reset()
        return dumps(None)

    def upload(self, task: Task) -> list[Frame]:
        """Have a file on this host. Nobody hears of an error on an engine that came later, but its log does."""
        # Start-up: hardly an engine needs it.
        from .uploads import take

        manifest = loads(task.frames)
        try:
            return dumps(take(manifest, task.function_code, self._state.folder))
        except Exception as error:
            installed["stderr"].log(f"{manifest.name!r}, which was uploaded, is not here: {error}\n")
            raise

    def collective(self, task: Task) -> list[Frame]:
        """The same together with other engines: code and functions are given the communicator of these."""
        # Start-up: most engines are no ranks.
        from ..mpi import for_engine

        epoch, ranks, renewal, timeout = task.group  # type: ignore[misc]
        if task.kind not in ("apply", "apply_bound", "execute"):
            raise ValueError(f"{task.kind} is nothing that engines do together; there are: apply, apply_bound, execute")
        function = None if task.kind == "execute" else self._loaded(task)[0]
        with for_engine.group(epoch, tuple(ranks), renewal, timeout, function) as comm:
            if function is None:
                with self._namespace.lending("comm", comm):
                    return self.execute(task)
            arguments, keywords = loads(task.frames)
            return dumps(value_of(function(comm, *arguments, **keywords)))

    def reform(self, task: Task) -> list[Frame]:
        """Form the communicator of an epoch, at the controller's wish."""
        # Start-up: see `collective`.
        from ..mpi import for_engine

        return [for_engine.begin(bytes(task.frames[0]), self._namespace.engine_id, self._state).encode()]

    def _loaded(self, task: Task) -> Loaded:
        """The function of a task: what is kept of it, unless a module that it uses has changed since."""
        known = self._functions.get(task.function)  # type: ignore[arg-type]
        if known is None or (known[3] and not _still(known[3])):
            known = self._load(task)
        return known

    def _load(self, task: Task) -> Loaded:
        # Start-up: an engine is ready before it has a function.
        from ..shared.dependency import is_dependent
        from ..shared.retrying import retry_on

        flags, first, second = split_code(task.function_code())
        _pinned()
        function: Any
        try:
            function = loads([first])
        except (ImportError, AttributeError):
            # The client's module is not here, or has another content: use what came by value, if it did.
            if not second:
                raise
            function = loads([second])
        loaded = (function, bool(flags & MAP), is_dependent(function), _pinned(), retry_on(function))
        if not flags & FRESH and task.function is not None:
            while len(self._functions) >= _CACHE_LIMIT:
                del self._functions[next(iter(self._functions))]
            self._functions[task.function] = loaded
        return loaded


def _pinned() -> tuple[Any, ...]:
    """The modules that were compared with the client's since the last call of this."""
    # A pickle that compares modules imports it.
    sources: Any = sys.modules.get("ipclusterz.shared.sources")
    return sources.pinned() if sources is not None else ()


def _still(pins: tuple[Any, ...]) -> bool:
    """Whether these modules are the same as then. A reload in between may have changed what was decided."""
    still: bool = sys.modules["ipclusterz.shared.sources"].still(pins)
    return still
