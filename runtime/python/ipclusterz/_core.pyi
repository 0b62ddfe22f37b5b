# The extension module: wire, I/O thread and state of a client and of an engine, in Rust. It moves bytes and knows
# nothing of pickle, functions or views; those are the Python package's, which is the only caller of this module.

from collections.abc import Callable, Sequence
from typing import Any, Literal, final, overload

from typing_extensions import Buffer as _Readable

__all__ = [
    "VERSION",
    "WIRE_VERSION",
    "Buffer",
    "Client",
    "Engine",
    "Follower",
    "Pending",
    "Reply",
    "Task",
    "cores",
    "end_with_parent",
    "find_connection_file",
]

VERSION: str
WIRE_VERSION: int

_Operation = Literal["execute", "apply", "apply_bound", "push", "pull", "clear", "upload"]
_Status = Literal["ok", "error", "aborted", "lost", "rejected", "rank_lost", "impossible", "timed_out"]
# "taken": it was lost because another client has taken the session over.
_Ended = Literal[_Status, "taken"]
# Of each engine: whether it is busy, its stack, its last MPI calls as JSON, seconds since its task began. None: there
# is no such engine.
_Activities = dict[int, tuple[bool, str, str, float] | None]
_Stream = Literal["stdout", "stderr", "display"]
_OnOutput = Callable[[], object] | None

def find_connection_file(cluster: str | None) -> str: ...

# How many cores this process may use; or could, if it were bound as the process of that pid is. None: who knows.
@overload
def cores(bound_as: None = None) -> int: ...
@overload
def cores(bound_as: int) -> int | None: ...

# Memory of a NUMA node for this process while there is some, and for those that it starts. False: that cannot be done.
def prefer_memory_of(node: int) -> bool: ...

# Makes a folder and those missing above it; IpclusterzError when one is not this user's alone.
def make_private(path: str) -> None: ...

# Gives frames to so many processes that have the ticket, a number and a key, within so many seconds. The addresses
# where they can be had; OSError when there is no port.
def give(frames: Sequence[_Readable], ticket: tuple[bytes, bytes], takers: int, seconds: float) -> list[str]: ...

# Takes what is given at one of these addresses. OSError when nobody is reached within so many seconds, or it breaks
# off.
def take(addresses: list[str], ticket: tuple[bytes, bytes], patience: float) -> list[Buffer]: ...

# SIGTERM for this process when its parent ends. False: that process is not its parent, or not any more.
def end_with_parent(parent: int) -> bool: ...

@final
class Buffer(_Readable):
    def __len__(self) -> int: ...

@final
class Reply:
    @property
    def status(self) -> _Ended: ...
    @property
    def message(self) -> str: ...
    @property
    def engine_id(self) -> int: ...
    @property
    def engine_uuid(self) -> str: ...
    @property
    def frames(self) -> list[Buffer]: ...
    @property
    def submitted(self) -> float: ...
    @property
    def started(self) -> float: ...
    @property
    def completed(self) -> float: ...
    @property
    def received(self) -> float: ...
    @property
    def stdout(self) -> str: ...
    @property
    def stderr(self) -> str: ...

@final
class Pending:
    def __len__(self) -> int: ...
    def message_ids(self) -> list[str]: ...
    def targets(self) -> list[int]: ...
    # The number of its first request, and how many there are.
    @property
    def requests(self) -> tuple[int, int]: ...
    # What `Client.submit` was given: operation, items and keywords. None where that is large, and for what another
    # client has submitted.
    @property
    def again(
        self,
    ) -> tuple[_Operation, Sequence[tuple[list[int] | None, Sequence[_Readable]]], dict[str, Any]] | None: ...
    @property
    def submitted(self) -> float: ...
    # Of each answer; None: it is not there yet.
    def statuses(self) -> list[_Status | None]: ...
    def done(self) -> int: ...
    def is_done(self, index: int) -> bool: ...
    # `on_output` is called while it waits when there is output to be taken, and at the end if there ever was some.
    def wait(self, timeout: float | None, on_output: _OnOutput = None) -> bool: ...
    def wait_index(self, index: int, timeout: float | None, on_output: _OnOutput = None) -> bool: ...
    # The index of the n-th answer (from 0) in order of arrival. None: the timeout, or there are not so many.
    def nth_done(self, n: int, timeout: float | None, on_output: _OnOutput = None) -> int | None: ...
    # Whether there is output to be taken.
    def has_news(self) -> bool: ...
    def trouble(self) -> str | None: ...
    # Whether a thread waits with `on_output`.
    def is_taken(self) -> bool: ...
    # What was written since this was called last, by whichever thread: index, engine (-1: none), what, and whether its
    # answer is here.
    def take_output(self) -> list[tuple[int, int, list[tuple[_Stream, str]], bool]]: ...
    # Waits for an answer or output beyond `version` (0 at first), unless all answers are there; gives the present one.
    def wait_news(self, version: int, timeout: float | None) -> int: ...
    # False: all answers are there. Otherwise `Client.next_watched` gives the token when they are, and before that when
    # there is output to be taken and no thread takes it while it waits.
    def watch(self, token: int) -> bool: ...
    def reply(self, index: int) -> Reply: ...
    def outputs(self, index: int) -> tuple[str, str]: ...
    # The last value of each name that it has published until now, as text.
    def published(self, index: int) -> list[tuple[str, str]]: ...
    # What came behind a cursor (0 at first), in order, and the cursor behind that.
    def output_since(self, index: int, cursor: int) -> tuple[int, list[tuple[_Stream, str]]]: ...
    def abort(self) -> None: ...
    # Aborts, and waits until each call is given up, answered or known to have begun. Whether all were given up.
    def cancel(self, timeout: float | None) -> bool: ...
    # Takes one back that no engine has begun, to be done here. False: an engine has, or its answer is here.
    def claim(self, index: int) -> bool: ...
    # The answer of one that was claimed; the frame of "rejected" says why. `engine`: id and uuid of whoever did it.
    def fulfil(
        self,
        index: int,
        outcome: Literal["ok", "error", "rejected"],
        frames: Sequence[_Readable],
        engine: tuple[int, str],
        started: float,
        completed: float,
    ) -> None: ...

# How far somebody has read of what happens. `since`: seconds since 1970; None: now.
@final
class Follower:
    def __new__(cls, since: float | None) -> Follower: ...

@final
class Client:
    # `text` is the content of the connection file, whose name is then for errors alone. `address` alone is dialled.
    def __new__(
        cls,
        connection_file: str,
        timeout: float,
        *,
        address: str | None = None,
        text: str | None = None,
        # The session to go on with; whoever has it is told, and closed.
        session: str | None = None,
    ) -> Client: ...
    # Its name, what the ids of its tasks begin with, the last number of a request when this client came, and from whom
    # it was taken over. None: the controller knows no sessions with names.
    @property
    def session(self) -> tuple[str, str, int, str | None] | None: ...
    # Question and answer are JSON (`Ask` and `Found` of the wire); each result is JSON (`Kept`) and its frames.
    def query(self, ask: str, timeout: float) -> tuple[str, list[tuple[str, list[bytes]]]]: ...
    # What has happened since then, each event as JSON; waits for that up to so many seconds, at most 10.
    def follow(self, follower: Follower, wait: float) -> list[str]: ...
    # A timeline of what has happened since then, written to a file; OSError. How many events it is made of.
    def timeline(self, path: str, since: float) -> int: ...
    # Awaits answers to consecutive requests of this session, which another client has submitted; for each, the engines
    # (None: any, one answer).
    def adopt(self, first: int, targets: list[list[int] | None], submitted: float) -> Pending: ...
    # Who has taken the session over, in words.
    @property
    def taken(self) -> str | None: ...
    # All that was submitted here, in order: for each run of submissions that are alike the first number of a request,
    # the requests of a submission, the answers of a request, and how many submissions there are.
    def submitted(self) -> list[tuple[int, int, int, int]]: ...
    # How many answers will not come if this client leaves a session without a name, and how many are missing in all.
    def unanswered(self) -> tuple[int, int]: ...
    # Before a session with a name is left: waits until the controller has all that was submitted. False: the timeout.
    def leave(self, timeout: float) -> bool: ...
    def abort_in(self, session: str, requests: list[int] | None, interrupt: bool, force: bool) -> None: ...
    # Consecutive requests of this client, from the first one to before `end`.
    def abort_requests(self, first: int, end: int, interrupt: bool, force: bool) -> None: ...
    @property
    def uuid(self) -> str: ...
    @property
    def cluster(self) -> str: ...
    # Changes with every start of the cluster.
    @property
    def run_id(self) -> str: ...
    @property
    def address(self) -> str: ...
    # Also in a process that was forked off.
    @property
    def closed(self) -> bool: ...
    # The process that made it, in one that was forked off from that. There, whatever could wait raises ClientClosed.
    @property
    def forked_from(self) -> int | None: ...
    def submit(
        self,
        op: _Operation,
        items: Sequence[tuple[list[int] | None, Sequence[_Readable]]],
        *,
        function: tuple[bytes, bytes] | None = None,
        retries: int = 0,
        # Balanced items go to these alone.
        engines: list[int] | None = None,
        # Seconds that each balanced item will take, if that is known.
        duration: float | None = None,
        # Items with targets are done by these together, as a group of one MPI program.
        collective: bool = False,
        # Seconds that the group's communicator may take to be made, if it is not there yet.
        timeout: float | None = None,
        # Also for engines that come later, until something else is kept under this name.
        keep: str | None = None,
        # The name of the function, for people.
        name: str | None = None,
        # What another client has to know to make something of the answers.
        about: bytes | None = None,
        # For balanced items, what else they ask for: JSON of `wire::message::Terms`.
        terms: str | None = None,
    ) -> Pending: ...
    def inspect(self, engines: list[int], timeout: float) -> _Activities: ...
    def engine_ids(self) -> list[int]: ...
    # Identifies the process of an engine; None: there is no such engine.
    def engine_uuid(self, engine_id: int) -> str | None: ...
    # What became of the last engine with this id, if none has it now.
    def what_became_of(self, engine_id: int) -> str | None: ...
    def wait_for_engines(self, n: int, timeout: float | None) -> bool: ...
    # Until none of these (None: nothing of this client's) is under way. ValueError for an id that is none of its own.
    def wait_requests(self, message_ids: list[str] | None, timeout: float | None) -> bool: ...
    # For a thread of its own: waits for the next token. None, for good: the client is closed, or watching stopped.
    # 0: there are comm messages to be taken, or engines have left.
    def next_watched(self) -> int | None: ...
    # Id of the engine, and a line of JSON, of each comm message that came since the last call; before the first one
    # they go nowhere. Those of a task are there before what it displays behind them.
    def take_comms(self) -> list[tuple[int, str]]: ...
    def stop_watching(self) -> None: ...
    def abort_all(self, targets: list[int] | None, all_clients: bool, interrupt: bool, force: bool = False) -> None: ...
    def interrupt(self, targets: list[int]) -> None: ...
    # Id to whether it sends itself the signal; None: there is no such engine.
    def signal(self, engines: list[int], number: int, timeout: float) -> dict[int, bool | None]: ...
    def retire(self, targets: list[int]) -> None: ...
    def shutdown(self, targets: list[int] | None) -> None: ...
    @property
    def trouble(self) -> str | None: ...
    def status(self, timeout: float) -> str: ...
    # Calls that wait here until the controller has room for them, and their bytes.
    def unsent(self) -> tuple[int, int]: ...
    def close(self) -> None: ...

@final
class Task:
    @property
    def id(self) -> int: ...
    @property
    def op(self) -> _Operation | Literal["reform", "collective"]: ...
    # The operation that is done together, when `op` is "collective".
    @property
    def kind(self) -> _Operation | Literal["reform"]: ...
    # What it has of what the engine offers: JSON of `wire::message::Resources`. None: nothing.
    @property
    def needs(self) -> str | None: ...
    # Then: the epoch, the ranks of MPI_COMM_WORLD that do it, how often their communicator was made anew, and the
    # seconds to make it.
    @property
    def group(self) -> tuple[int, list[int], int, float | None] | None: ...
    @property
    def function(self) -> bytes | None: ...
    @property
    def frames(self) -> list[Buffer]: ...
    # Of an upload, which is to run: waits for it.
    def function_code(self) -> Buffer: ...

@final
class Engine:
    # `lease`: seconds to go on without a controller, if that is on another host. `end_timeout`: seconds that code may
    # go on after the engine was told to end. `end_time`: seconds since 1970; `warn_before` seconds ahead of it the
    # process gets SIGUSR1.
    def __new__(
        cls,
        connection_file: str,
        engine_id: int | None,
        timeout: float,
        *,
        lease: float,
        end_timeout: float = 2.0,
        end_time: float | None = None,
        warn_before: float = 0.0,
        drain_before: float = 0.0,
        # Name of the MPI program, rank, number of ranks, and whether they live on when one is lost.
        world: tuple[str, int, int, bool] | None = None,
        # `addresses()` of ipclusterz_mpi.
        mpi: Sequence[int] | None = None,
        # The signal and the file's descriptor that `faulthandler.register` was given.
        stack: tuple[int, int] | None = None,
        group: str | None = None,
        # The agent of this host: its socket, and its folder of segments.
        agent: tuple[str, str] | None = None,
        # What it offers to tasks: JSON of `wire::message::Resources`.
        offers: str | None = None,
        # What is written to descriptors 1 and 2 while a task runs goes to its client, too.
        capture: bool = False,
    ) -> Engine: ...
    @property
    def id(self) -> int: ...
    @property
    def uuid(self) -> str: ...
    @property
    def cluster(self) -> str: ...
    @property
    def run_id(self) -> str: ...
    # The controller's address that answered last.
    @property
    def address(self) -> str: ...
    # The same task again until it is finished. Raises what a signal's handler raises, or what `between` was given.
    def next_task(self) -> Task | None: ...
    # Has a function called by the thread that takes tasks, before the next one. False: this is no engine any more.
    def between(self, function: Callable[[], object]) -> bool: ...
    # "unmet": this engine lacks what the task needs; the frames are the error that says so. A balanced task goes to
    # another.
    # `why`: what other members of its group are told when it failed.
    def finish(
        self, task: Task, outcome: Literal["ok", "error", "unmet", "again"], frames: Sequence[_Readable], why: str = ""
    ) -> None: ...
    # Text of no task, for the log. What cannot be written is counted there. False: this is a fork of the engine.
    def log(self, to_errors: bool, text: str) -> bool: ...
    # Text of a task. False: it has ended, and the text is dropped. To "display" goes one line of JSON with its newline.
    def write(self, task: int, stream: _Stream, text: str) -> bool: ...
    # What other engines are doing; without those that do not answer in time. `broken`: by the way they are told that a
    # communicator (name, epoch) cannot be used any more, why, and whether waits on it are to end at once. `stacks`:
    # also where their main threads are.
    def inspect(
        self,
        engines: list[int],
        timeout: float,
        broken: tuple[str, int, str, bool] | None = None,
        stacks: bool = True,
    ) -> _Activities: ...
