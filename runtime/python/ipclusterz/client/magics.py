"""The magics of a view in IPython: ``%px``, ``%%px``, ``%autopx``, ``%result``, ``%pxresult`` and ``%pxconfig``.

A view that is activated with a suffix has a family of its own: ``%px0``, ``%autopx0`` and so on. Reading options is in
`options`, showing output in `follow`, catching cells in `autopx`.
"""

from __future__ import annotations

import sys
from contextlib import nullcontext
from signal import SIGINT
from weakref import ref

from ..error import CompositeError, ControllerUnreachable, EmptyTargets, UnknownEngine
from ..shared.reply import ExecuteReply
from .autopx import AutoCells
from .follow import display_outputs, follow, show_values
from .options import CONFIG, RESULT, RUN, BadOption, Options, parse
from .results import ResultsList
from .targets import OWN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .asyncresult import AsyncResult
    from .connection import Connection
    from .direct import DirectCalls

__all__ = ["activate", "load_default"]


def activate(view: DirectCalls, suffix: str = "") -> None:
    """Give a view its family of magics, in place of the one that has this suffix now.

    Parameters
    ----------
    view : DirectView or Client
        Its `block` and `targets` are those of the magics.
    suffix : str
        Behind the names of the magics.

    Raises
    ------
    RuntimeError
        When this is not IPython.
    ValueError
        When names cannot end in `suffix`.
    """
    if not isinstance(suffix, str) or not f"px{suffix}".isidentifier():
        raise ValueError(f"names of magics cannot end in {suffix!r}: letters, digits and underscores can")
    shell = _shell()
    if shell is None:
        raise RuntimeError("magics need IPython, and this is not it\nhint: view.execute(code) works everywhere")
    _Magics(shell, lambda: view, suffix, chosen=True).register()


def load_default(client: DirectCalls) -> None:
    """Give a new client the magics without suffix, unless the user gave them to a view.

    They wait for their results whatever ``client.block`` is, until ``%pxconfig`` says otherwise, and they do not keep
    the client alive. Does nothing outside IPython.
    """
    shell = _shell()
    if shell is not None:
        _Magics(shell, ref(client), "", chosen=False).register()


def _shell() -> Any:
    if "IPython" not in sys.modules:
        return None
    from IPython.core.getipython import get_ipython

    return get_ipython()


def _families(shell: Any) -> dict[str, _Family]:
    """The families of a shell, by suffix."""
    families: dict[str, _Family] = vars(shell).setdefault("_ipclusterz_magics", {})
    return families


class _Family:
    """All who were given the magics of one suffix. The magics are those of the last one that can be used.

    One that the user gave them to comes before the clients that have them by themselves.
    """

    def __init__(self, shell: Any, suffix: str) -> None:
        self._suffix = suffix
        self._members: list[_Magics] = []
        self._used: _Magics | None = None
        self.auto = AutoCells(shell, f"autopx{suffix}", lambda: _all_names(shell))

    def add(self, magics: _Magics) -> None:
        """The magics are this one's from here on."""
        self.stop_auto()
        client = magics.client
        members = [member for member in self._members if member.is_open and member.client is not client]
        if magics.chosen:
            for member in members:
                member.let_go()
        self._members = sorted([*members, magics], key=lambda member: member.chosen)
        self._used = None

    def current(self) -> _Magics:
        """The one that can be used. When there is none, the last one, which says why."""
        *_, last = self._members
        usable = next((member for member in reversed(self._members) if not member.problem()), last)
        if usable is not last and usable is not self._used:
            usable.hold()
            print(f"the client of %px{self._suffix} {last.problem()}: it goes to {usable.client!r}", file=sys.stderr)
        self._used = usable
        return usable

    def stop_auto(self) -> None:
        """Let cells be run here again."""
        if self.auto.on:
            self.auto.stop()
            print("Auto Parallel Disabled")


def _all_names(shell: Any) -> set[str]:
    return {name + suffix for suffix in _families(shell) for name in ("px", "autopx", "result", "pxresult", "pxconfig")}


class _Magics:
    """The magics of one view.

    Parameters
    ----------
    shell : IPython.core.interactiveshell.InteractiveShell
        Where they are typed.
    view : callable
        Gives the view, or None when it is gone.
    suffix : str
        Behind their names.
    chosen : bool
        The user said which view: then the view decides whether to wait.
    """

    def __init__(self, shell: Any, view: Callable[[], DirectCalls | None], suffix: str, chosen: bool) -> None:
        self._shell = shell
        self._view_or_none = view
        self._suffix = suffix
        self.chosen = chosen
        self._block = True
        self._stream = True
        self._verbose = True
        self._progress_after = -1.0
        self._signal: int = SIGINT
        # What `%pxresult` shows.
        self._last: AsyncResult | None = None

    def register(self) -> None:
        """Make the magics known to the shell."""
        from IPython.core.magic import no_var_expand

        families = _families(self._shell)
        family = families.setdefault(self._suffix, _Family(self._shell, self._suffix))
        family.add(self)
        for name, kind, method in (
            ("px", "line", _Magics.px),
            ("px", "cell", _Magics.px_cell),
            ("autopx", "line", _Magics.autopx),
            ("autopx", "cell", _Magics.autopx_cell),
            ("result", "line", _Magics.result),
            ("pxresult", "line", _Magics.pxresult),
            ("pxconfig", "line", _Magics.pxconfig),
        ):
            # What stands in braces or behind a dollar sign is the engines' code.
            magic = no_var_expand(_as_function(family, method))
            self._shell.register_magic_function(magic, kind, name + self._suffix)

    # -- the magics ---------------------------------------------------------------------------------------------

    def px(self, line: str) -> Any:
        """Run a line of code on the engines of the active view.

        Usage: %px [--block | --noblock] [--targets T] [--local] [--group-outputs engine|type|order] [--out NAME]
        [--stream | --no-stream] [--verbose | --no-verbose] [--progress-after SECONDS] [--signal-on-interrupt SIGNAL]
        [--mpi] CODE

        Options are explained in the help of %%px. Their short forms are code here.
        """
        options, code = self._parse("px", line, RUN)
        if not code:
            raise _usage(f"%px{self._suffix} needs code\nhint: %px{self._suffix} x = 1")
        return self._run(code, options, is_line=True)

    def px_cell(self, line: str, cell: str) -> Any:
        """Run a cell on the engines of the active view.

        Usage: %%px [options]

        -b, --block, -a, --noblock  wait and show output, or return an AsyncResult at once; left out, the view's `block`
        -t, --targets T  engines instead of the view's: an id, ids as in 0,2, a slice as in 1:3 or ::2, or all
        --local  run the cell here too
        --group-outputs engine|type|order  show output when all is done; see AsyncResult.display_outputs
        -e, -r  short for --group-outputs=engine and --group-outputs=order
        -o, --out NAME  give the AsyncResult a name
        --stream, --no-stream  show output as it comes, or when all is done
        --verbose, --no-verbose  say on which engines it runs, or do not
        --progress-after SECONDS  show a progress bar when it takes longer; -1 for none
        --signal-on-interrupt SIGNAL  what Ctrl-C sends to the engines: SIGINT, another name or a number, or 0 for none
        --mpi  run it on all engines in one step, as the ranks of a communicator, which the cell sees as `comm`

        A variable in braces, as in --targets {ids}, stands for its value; braces in the cell are code.
        """
        return self._run(cell, self._only_options("%px", line, RUN))

    def autopx(self, line: str) -> None:
        """Run everything that is typed on the engines of the active view, until %autopx is typed again."""
        if line.strip():
            raise _usage(f"%autopx{self._suffix} takes nothing, and was given {line.strip()!r}")
        families = _families(self._shell)
        if families[self._suffix].auto.on:
            families[self._suffix].stop_auto()
            return
        for family in families.values():
            family.stop_auto()
        families[self._suffix].auto.start()
        print(f"Auto Parallel Enabled\nType %autopx{self._suffix} to disable")

    def autopx_cell(self, line: str, cell: str) -> None:
        """Run a cell as %autopx does: what is typed while it is enabled becomes this."""
        result = self._run(cell, Options(verbose=False))
        if result is not None:
            print(result)

    def result(self, line: str) -> ResultsList | None:
        """Show what the last cell gave on each engine.

        Usage: %result [N]

        N is the number of an earlier cell, which may be another one on each engine.
        """
        text = line.strip()
        if text and not text.isdigit():
            raise _usage(f"%result{self._suffix} takes the number of a cell, not {text!r}")
        answer = self._view().get_result(int(text) if text else None, block=False)
        answer.wait()
        replies = ResultsList(value for value in map(answer._value, range(len(answer))) if type(value) is ExecuteReply)
        if len(replies) < len(answer):
            if replies:
                print(replies)
            answer.get()
        return replies

    def pxresult(self, line: str) -> None:
        """Wait for what the last %px gave, and show it: what it wrote, displayed and returned.

        Usage: %pxresult [--group-outputs engine|type|order | -e | -r] [--out NAME]

        --out only gives the AsyncResult a name.
        """
        options = self._only_options("pxresult", line, RESULT)
        if self._last is None:
            raise _usage(f"%pxresult{self._suffix} shows what the last %px{self._suffix} gave, and there was none")
        if options.out is not None:
            self._shell.user_ns[options.out] = self._last
            return
        follow(self._last, silently=True)
        display_outputs(self._last, options.group or "type")
        self._last.get()

    def pxconfig(self, line: str) -> None:
        """Set how the magics of the active view behave; show it when nothing is given.

        Usage: %pxconfig [--block | --noblock] [--targets T] [--stream | --no-stream] [--verbose | --no-verbose]
        [--progress-after SECONDS] [--signal-on-interrupt SIGNAL]

        --verbose is to say on which engines code is run; the others are explained in the help of %%px.
        """
        options = self._only_options("pxconfig", line, CONFIG)
        view = self._view()
        if options.block is not None and self.chosen:
            view.block = options.block
        elif options.block is not None:
            self._block = options.block
        if options.targets is not None:
            try:
                view.targets = options.targets
            except (UnknownEngine, EmptyTargets) as error:
                raise _usage(str(error)) from None
        if options.stream is not None:
            self._stream = options.stream
        if options.verbose is not None:
            self._verbose = options.verbose
        if options.progress_after is not None:
            self._progress_after = options.progress_after
        if options.signal is not None:
            self._signal = options.signal
        if options == Options():
            print(f"targets: {view.targets}\nblock: {self._waits}\nstream: {self._stream}\nverbose: {self._verbose}")
            if self._progress_after >= 0:
                print(f"progress after: {self._progress_after:g} s")

    # -- inside -------------------------------------------------------------------------------------------------

    @property
    def client(self) -> Connection | None:
        """The client of the view; None: it is gone."""
        view = self._view_or_none()
        return None if view is None else view._owner_client

    @property
    def is_open(self) -> bool:
        """Whether the client is there and open. Its cluster may be gone."""
        client = self.client
        return client is not None and not client.closed

    def let_go(self) -> None:
        """Do not keep the client alive: another view has the magics now."""
        view = self._view_or_none()
        if not self.chosen or view is None:
            return
        owner: Any = view._owner_client
        client, block, targets = ref(owner), view.block, view.targets
        if view is owner:
            self._view_or_none = client
            return

        def again() -> DirectCalls | None:
            there: Connection | None = client()
            if there is None:
                return None
            view: DirectCalls = there._view_of(targets)
            view.block = block
            return view

        self._view_or_none = again

    def hold(self) -> None:
        """Have the magics again."""
        view = self._view_or_none()
        if self.chosen:
            self._view_or_none = lambda: view

    def problem(self) -> str:
        """Why the client cannot be used; empty when it can."""
        client = self.client
        if client is None:
            return "is gone"
        if client.closed:
            return "is closed"
        try:
            len(client)
        except ControllerUnreachable:
            return f"is of cluster {client._core.cluster!r}, which has ended or cannot be reached"
        return ""

    @property
    def _waits(self) -> bool:
        return self._view().block if self.chosen else self._block

    def _view(self) -> DirectCalls:
        view, problem = self._view_or_none(), self.problem()
        if view is None or problem:
            suffix = repr(self._suffix) if self._suffix else ""
            magic = f"%px{self._suffix}"
            hint = f"rc.activate({suffix}) gives {magic} to another client; a new Client() has %px by itself"
            raise _usage(f"the client of {magic} {problem}\nhint: {hint}")
        return view

    def _parse(self, magic: str, line: str, known: tuple[str, ...], letters: bool = False) -> tuple[Options, str]:
        try:
            return parse(line, known, letters=letters, expand=self._shell.var_expand)
        except BadOption as error:
            raise _usage(f"%{magic}{self._suffix}: {error}") from None

    def _only_options(self, magic: str, line: str, known: tuple[str, ...]) -> Options:
        options, rest = self._parse(magic, line, known, letters=True)
        if rest:
            raise _usage(f"%{magic}{self._suffix} takes options alone, and was given {rest!r}")
        return options

    def _run(self, code: str, options: Options, is_line: bool = False) -> Any:
        waits = self._waits if options.block is None else options.block
        result = self._last = self._submit(code, options)
        announce = self._verbose if options.verbose is None else options.verbose
        if options.out is not None:
            self._shell.user_ns[options.out] = result
        if announce:
            print(f"{'Parallel' if waits else 'Async parallel'} execution on engines: {result.engine_ids}")
        if options.local:
            self._run_here(code)
        if not waits:
            return result
        streams = options.group is None and (self._stream if options.stream is None else options.stream)
        follow(
            result,
            silently=not streams,
            progress_after=self._progress_after if options.progress_after is None else options.progress_after,
            signal=self._signal if options.signal is None else options.signal,
        )
        if streams:
            show_values(result)
        else:
            display_outputs(result, options.group or "engine")
        try:
            result.get()
        except CompositeError as error:
            # At the prompt it is asked next where it happened.
            error._with_tracebacks = True
            raise
        return _value_of_imports(code, result) if is_line else None

    def _run_here(self, code: str) -> None:
        catching = [family.auto for family in _families(self._shell).values() if family.auto.on]
        with catching[0].paused() if catching else nullcontext():
            self._shell.run_cell(code)

    def _submit(self, code: str, options: Options) -> AsyncResult:
        view = self._view()
        targets = OWN if options.targets is None else options.targets
        try:
            if options.mpi:
                # Only cells of a group need what MPI needs.
                from .mpi import Group

                together: AsyncResult = Group(view, targets).execute(code, block=False)
                return together
            submitted: AsyncResult = view.execute(code, False, targets=targets, block=False)
        except (UnknownEngine, EmptyTargets) as error:
            # The view's own engines are no matter of usage.
            raise (error if targets is OWN else _usage(str(error))) from None
        return submitted


def _value_of_imports(code: str, result: AsyncResult) -> dict[int, None] | None:
    """What a blocking ``%px`` returns: nothing, but for a line of imports alone one None for each engine.

    The engines' values are shown as theirs, and are no value of the line. An import is the exception, in the guide and
    for those who learnt from it: there is nothing else to see of it, and the dictionary says where it has succeeded.
    """
    import ast

    if result._single:
        return None
    try:
        statements = ast.parse(code).body
    except SyntaxError:
        return None
    if not statements or not all(isinstance(statement, (ast.Import, ast.ImportFrom)) for statement in statements):
        return None
    return dict.fromkeys(result.engine_ids)


def _as_function(family: _Family, method: Callable[..., Any]) -> Callable[..., Any]:
    """A function with the method's name and help, for IPython to put marks on."""

    def magic(*arguments: str) -> Any:
        return method(family.current(), *arguments)

    magic.__name__, magic.__doc__ = method.__name__, method.__doc__
    return magic


def _usage(message: str) -> Exception:
    """The error that IPython shows without a traceback."""
    from IPython.core.error import UsageError

    return UsageError(message)
