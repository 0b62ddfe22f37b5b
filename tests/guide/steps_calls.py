"""The guide's lines 1 to 349: connecting, calling functions, running code, `block` and `targets`."""

from __future__ import annotations

from step import Cell, Status, Step

__all__ = ["STEPS"]

_LINE = "-" * 75
_SHOWN = "code that is executed and waited for is shown as at line 337; the guide shows nothing here"

STEPS = (
    # -- starting and connecting --------------------------------------------------------------------------------
    Step(
        22,
        22,
        prints="""\
engine «number» is ready on «any» (pid «number»)
engine «number» is ready on «any» (pid «number»)
engine «number» is ready on «any» (pid «number»)
engine «number» is ready on «any» (pid «number»)
cluster "default": 4 engines ready in «float» s; Ctrl-C stops all
connect: from ipclusterz import client; rc = client.Client()
file: «any»client.json""",
        status=Status.SAME,
        note="the guide leaves out what the command prints: its engines, and how to connect",
    ),
    Step(
        35, 35, typed="from ipclusterz import client", status=Status.TODAY, note="the package has a name of its own now"
    ),
    Step(37, 37, after=(Cell("rc", "Out[«number»]: <Client: cluster 'default' at ipc://«any», 4 engines>"),)),
    Step(
        46,
        46,
        typed="rc = client.Client('«address»')",
        after=(Cell("rc", "Out[«number»]: <Client: cluster 'default' at tcp://127.0.0.1:«number», 4 engines>"),),
        status=Status.SAME,
        note="with the address of the controller that runs",
    ),
    Step(
        48,
        48,
        after=(
            Cell("rc", "Out[«number»]: <Client: cluster 'default' at ipc://«any», 4 engines>"),
            Cell("rc[0].apply_sync(abs, -3)", "Out[«number»]: 3"),
            Cell("rc.close()"),
            Cell("rc = client.Client()"),
        ),
        status=Status.SAME,
        note="here the server is this host, with an sshd of the test's own that ~/.ssh/config knows by that name",
    ),
    Step(56, 57),
    # -- map, remote --------------------------------------------------------------------------------------------
    Step(78, 78),
    Step(80, 80),
    Step(82, 83),
    Step(
        86,
        91,
        after=(
            Cell("rc[None].map(lambda x: x**10, range(32), block=True) == serial_result", "Out[«number»]: True"),
            Cell("power = client.ParallelFunction(rc, lambda x: x**10, targets=None, block=True)"),
            Cell("power.map(range(32)) == serial_result", "Out[«number»]: True"),
        ),
    ),
    Step(106, 109, typed="@rc.remote(block=True)\ndef f(x):\n    return 10.0*x**4"),
    Step(
        111,
        113,
        typed="list(map(f, range(32))) # this is done in parallel",
        prints="Out[«number»]:\n[0.0,10.0,160.0,«lines»]",
        after=(Cell("_ == [10.0*x**4 for x in range(32)]", "Out[«number»]: True"),),
    ),
    # -- blocking -----------------------------------------------------------------------------------------------
    Step(137, 137),
    Step(138, 138),
    Step(139, 139),
    Step(142, 142),
    Step(144, 145),
    Step(
        153,
        153,
        prints="Out[«number»]:\n<Results List>\n[0] In [«i»]: c=a+b\n[2] In [«i»]: c=a+b",
        status=Status.TODAY,
        note=_SHOWN,
    ),
    Step(
        155,
        155,
        prints="Out[«number»]:\n<Results List>\n[1] In [«i»]: c=a-b\n[3] In [«i»]: c=a-b",
        status=Status.TODAY,
        note=_SHOWN,
    ),
    Step(157, 158),
    Step(
        160,
        170,
        after=(
            Cell("rc.pull('c', targets=1) == rc[1].pull('c')", "Out[«number»]: True"),
            Cell("rc.apply(pow, args=(2, 5), kwargs={'mod': 7}, targets=[1,3])", "Out[«number»]: {1: 4, 3: 4}"),
            Cell("rc[1,3].apply(pow, 2, 5, mod=7)", "Out[«number»]: {1: 4, 3: 4}"),
            Cell("v = rc[1]; v.bound = True; v.apply(lambda: a)", "Out[«number»]: 5"),
        ),
    ),
    # -- bound and unbound --------------------------------------------------------------------------------------
    Step(179, 179),
    Step(181, 181),
    Step(183, 184),
    Step(
        186,
        198,
        prints=f"""\
{_LINE}
RemoteError Traceback (most recent call last)
«any»
----> 1 v0.apply(lambda : b)
«lines»
RemoteError: NameError(name 'b' is not defined)
Traceback (most recent call last):«lines»
File "<ipython-input-«any»>", line 1, in <lambda>«lines»
NameError: name 'b' is not defined""",
    ),
    Step(
        201,
        206,
        after=(
            Cell("rc.apply(lambda: b, bound=True, targets=0)", "Out[«number»]: 5"),
            Cell("rc.apply(lambda: 'b' in globals(), bound=False, targets=0)", "Out[«number»]: False"),
        ),
    ),
    # -- non-blocking -------------------------------------------------------------------------------------------
    Step(
        217,
        222,
        after=(
            Cell("import multiprocessing.pool"),
            Cell("issubclass(client.TimeoutError, multiprocessing.TimeoutError)", "Out[«number»]: True"),
            Cell("theirs = {name for name in dir(multiprocessing.pool.AsyncResult) if name[0] != '_'}"),
            Cell("theirs - set(dir(client.AsyncResult))", "Out[«number»]: set()"),
        ),
    ),
    Step(
        231,
        235,
        typed="def wait(t):\n    import time\n    tic = time.time()\n    time.sleep(t)\n    return time.time()-tic",
    ),
    Step(
        238,
        238,
        prints="Out[«number»]:\n<Results List>"
        + "".join(f"\n[{engine_id}] In [«i+1»]: import time" for engine_id in range(4)),
        status=Status.TODAY,
        note=_SHOWN,
    ),
    Step(241, 241),
    Step(
        244,
        245,
        prints="Out[«number»]: [«float», «float», «float», «float»]",
        after=(Cell("all(1.9 < seconds < 3 for seconds in pr.get())", "Out[«number»]: True"),),
    ),
    Step(248, 248),
    Step(251, 252),
    Step(
        255,
        268,
        prints=f"""\
{_LINE}
TimeoutError Traceback (most recent call last)
«any»
----> 1 pr.get(1)
«lines»
TimeoutError: Result not ready.""",
        # Nobody waits for the rest of the ten seconds.
        after=(Cell("rc.interrupt(); pr.wait(10); pr.ready()", "Out[«number»]: True"),),
    ),
    Step(270, 273, after=(Cell("'time' in globals()", "Out[«number»]: False"),), shown_at=(231, 244)),
    Step(282, 282),
    Step(
        285,
        285,
        typed="pr_list = [rc[:].apply_async(wait, 0.3) for i in range(10)]",
        status=Status.SAME,
        note="with 0.3 seconds instead of 3",
    ),
    Step(288, 288, after=(Cell("all(pr.ready() for pr in pr_list)", "Out[«number»]: True"),)),
    Step(
        291,
        292,
        prints="Out[«number»]: [«float», «float», «float», «float»]",
        after=(Cell("pr_list[9].r == pr_list[9].get()", "Out[«number»]: True"),),
    ),
    # -- block and targets --------------------------------------------------------------------------------------
    Step(
        299,
        313,
        after=(
            Cell("rc.targets, rc.block", "Out[«number»]: ('all', False)"),
            Cell("rc.pull('c')", "Out[«number»]: <AsyncResult«any»>"),
            Cell("rc.pull('c', block=True)", "Out[«number»]: {0: 15, 1: -5, 2: 15, 3: -5}"),
            Cell("rc.pull('c', targets=[1,3], block=True)", "Out[«number»]: {1: -5, 3: -5}"),
            Cell("rc.pull('c', targets=2, block=True)", "Out[«number»]: 15"),
        ),
        status=Status.MENDED,
        note='the guide: "This is different now, I haven\'t updated this section"; the two rules and the examples hold',
    ),
    Step(319, 319),
    Step(321, 321),
    Step(323, 323),
    Step(
        325,
        329,
        prints="""\
Out[«number»]:
<Results List>
[0] In [«n»]: a=5
[2] In [«n»]: a=5""",
    ),
    Step(332, 332),
    Step(334, 334),
    Step(
        336,
        349,
        prints="""\
Out[«number»]:
<Results List>
[0] In [«n+1»]: b=10; print(b)
[0] Out[«n+1»]: 10

[1] In [«n»]: b=10; print(b)
[1] Out[«n»]: 10

[2] In [«n+1»]: b=10; print(b)
[2] Out[«n+1»]: 10

[3] In [«n»]: b=10; print(b)
[3] Out[«n»]: 10""",
    ),
)
