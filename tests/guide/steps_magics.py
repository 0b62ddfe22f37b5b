"""The guide's lines 350 to 783: magics, moving objects, scatter and gather, errors."""

from __future__ import annotations

from step import Cell, Status, Step

__all__ = ["STEPS"]

_LINE = "-" * 75
_ON_ALL = "Parallel execution on engines: [0, 1, 2, 3]"

_DIVIDED_BY_ZERO = f"""\
{_LINE}
CompositeError Traceback (most recent call last)
«lines»
CompositeError: one or more exceptions from call to method: execute
[0:execute]: ZeroDivisionError: division by zero
[1:execute]: ZeroDivisionError: division by zero
[2:execute]: ZeroDivisionError: division by zero
[3:execute]: ZeroDivisionError: division by zero"""

STEPS = (
    # -- magics -------------------------------------------------------------------------------------------------
    Step(
        358,
        362,
        after=(
            Cell(
                "%px print('printed')",
                _ON_ALL + "".join(f"\n[stdout:{engine_id}] printed" for engine_id in range(4)),
            ),
        ),
        shown_at=(383, 409, 431),
        status=Status.MENDED,
        note='the guide: "%result does not [work]. %px and %autopx do not print stdin/out"; they do',
    ),
    Step(374, 374),
    Step(377, 377),
    Step(379, 379),
    Step(381, 381),
    Step(383, 385),
    Step(387, 388),
    Step(390, 391),
    Step(
        393,
        397,
        prints="""\
Out[«number»]: {0: array([«floats»]),
1: array([«floats»]),
2: array([«floats»]),
3: array([«floats»])}""",
    ),
    Step(
        399,
        401,
        shown_at=(409,),
        status=Status.MENDED,
        note='the guide: "%result doesn\'t work"',
    ),
    Step(
        409,
        422,
        prints="""\
Out[«number»]:
<Results List>
[0] In [«n+6»]: print(numpy.linalg.eigvals(a))
[0] Out[«n+6»]: [«floats»]

[1] In [«n+5»]: print(numpy.linalg.eigvals(a))
[1] Out[«n+5»]: [«floats»]

[2] In [«n+6»]: print(numpy.linalg.eigvals(a))
[2] Out[«n+6»]: [«floats»]

[3] In [«n+5»]: print(numpy.linalg.eigvals(a))
[3] Out[«n+5»]: [«floats»]""",
        before=(
            Cell(
                "%px print(numpy.linalg.eigvals(a))",
                _ON_ALL + "".join(f"\n[stdout:{engine_id}] [«floats»]" for engine_id in range(4)),
            ),
        ),
        status=Status.MENDED,
        note="the guide does not show that `%px print(numpy.linalg.eigvals(a))` was typed before",
    ),
    Step(429, 429),
    Step(431, 433),
    Step(435, 436, prints="<«any»AsyncResult«any»>"),
    Step(
        438,
        445,
        typed="""\
for i in range(100):
    a = numpy.random.rand(10,10)
    a = a+a.transpose()
    evals = numpy.linalg.eigvals(a)
    max_evals.append(evals[0].real)""",
        prints="<«any»AsyncResult«any»>",
    ),
    Step(447, 448),
    Step(450, 450),
    Step(452, 453),
    Step(
        455,
        459,
        prints="""\
Out[«number»]: {0 : 'Average max eigenvalue is: «float»',
1 : 'Average max eigenvalue is: «float»',
2 : 'Average max eigenvalue is: «float»',
3 : 'Average max eigenvalue is: «float»'}""",
    ),
    Step(
        462,
        465,
        after=(
            Cell("%autopx", "Auto Parallel Enabled\nType %autopx to disable"),
            # Neither name is known to this session, and both are to the engines.
            Cell("for only_there in range(3):\n    total = only_there+len(max_evals)"),
            Cell("total", "\n".join(f"Out[{engine_id}:«number»]: 102" for engine_id in range(4))),
            Cell("%autopx", "Auto Parallel Disabled"),
            Cell("dv['total']", "Out[«number»]: {0: 102, 1: 102, 2: 102, 3: 102}"),
            Cell("'total' in globals() or 'only_there' in globals()", "Out[«number»]: False"),
        ),
        status=Status.MENDED,
        note='the guide: "Multiline %autpx gets fouled up by NameErrors"',
    ),
    # -- push and pull ------------------------------------------------------------------------------------------
    Step(483, 484),
    Step(486, 487),
    Step(489, 490),
    Step(492, 493),
    Step(
        495,
        497,
        status=Status.MENDED,
        note='the guide: "zmq client does not have zip_pull"',
    ),
    Step(499, 500),
    Step(507, 507),
    Step(509, 509),
    Step(511, 512),
    # -- dictionaries -------------------------------------------------------------------------------------------
    Step(528, 528),
    Step(530, 530),
    Step(
        532,
        533,
        after=(
            Cell("rc[:].update({'d': 7})"),
            Cell("rc[:].get('d')", "Out[«number»]: {0: 7, 1: 7, 2: 7, 3: 7}"),
        ),
    ),
    # -- scatter and gather -------------------------------------------------------------------------------------
    Step(548, 549),
    Step(551, 555),
    Step(557, 558),
    Step(572, 573),
    Step(
        575,
        577,
        prints=_ON_ALL,
        status=Status.TODAY,
        note="says the same as at line 388; the guide has another version's line here",
    ),
    Step(579, 579),
    Step(
        581,
        582,
        prints="[0, 1, 1024, 59049, 1048576, 9765625, 60466176, 282475249, 1073741824,«any»]",
        after=(Cell("y == [i**10 for i in range(64)]", "Out[«number»]: True"),),
    ),
    # -- errors -------------------------------------------------------------------------------------------------
    Step(597, 597),
    Step(599, 623, prints=_DIVIDED_BY_ZERO),
    Step(
        631,
        649,
        typed="try:\n    rc.execute('1/0')\nexcept client.CompositeError as e:\n    e.raise_exception()",
        prints=f"""\
{_LINE}«lines»
ZeroDivisionError Traceback (most recent call last)
«lines»
ZeroDivisionError: division by zero""",
    ),
    Step(657, 681, prints=_DIVIDED_BY_ZERO),
    Step(
        683,
        689,
        prints="""\
>«lines»(«number»)«any»()«lines»
«any»> «number» raise e
«lines»""",
    ),
    Step(
        693,
        698,
        typed="e.\t",
        prints="«lines»elist«lines»print_tracebacks«lines»raise_exception«lines»",
    ),
    Step(
        699,
        730,
        prints=f"""\
[0:execute]:
[1:execute]:
[2:execute]:
[3:execute]:
{_LINE}
ZeroDivisionError Traceback (most recent call last)
«lines»
ZeroDivisionError: division by zero""",
        after=(Cell("type(e).__name__", "'CompositeError'"), Cell("q")),
        status=Status.TODAY,
        note="equal tracebacks are printed once, under the lines of all their engines",
    ),
    Step(
        732,
        735,
        shown_at=(683, 693, 699),
        status=Status.MENDED,
        note='the guide: "The above example appears to be broken right now"',
    ),
    Step(741, 741),
    Step(743, 743),
    Step(745, 783, prints=_DIVIDED_BY_ZERO),
)
