"""The command line in a process of its own, forked from one that has loaded the heavy libraries already.

What a command does, prints and leaves behind is the same as in a new interpreter; it only costs no seconds of imports.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import tempfile
import threading
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
SECONDS = 110

#: Waits for one job a line. It has no threads, so that a fork of it is whole; nothing that it loads reads the
#: environment or looks at the terminal: the child does, in its own.
_SERVER = """
import json, os, sys
from flows.environment import be_quiet
be_quiet()
import great_expectations, pandas, rich.table, rich.tree, typer
import connectors.registry, connectors.reports, flows.night, flows.wiring, flows.steps.checks, flows.steps.data_docs, flows.steps.explain
print("ready", flush=True)
for line in sys.stdin:
    job = json.loads(line)
    child = os.fork()
    if child:
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
        continue
    code = 70
    try:
        for number, name in ((1, job["out"]), (2, job["err"])):
            os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.environ.clear()
        os.environ.update(job["env"])
        os.chdir(job["cwd"])
        sys.argv = ["huikuan", *job["arguments"]]
        from flows.cli import main
        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        except BaseException:
            import traceback
            traceback.print_exc()
            code = 1
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)
"""


@cache
def _server() -> subprocess.Popen[str]:
    env = {k: v for k, v in os.environ.items() if not k.startswith(("HUIKUAN_", "PREFECT_"))}
    env |= {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    server = subprocess.Popen(
        [sys.executable, "-c", _SERVER], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    atexit.register(server.kill)
    assert server.stdout is not None
    assert server.stdout.readline() == "ready\n"
    return server


def run_command(*arguments: str, cwd: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run `huikuan` with these arguments; as `subprocess.run` would."""
    server = _server()
    assert server.stdin is not None
    assert server.stdout is not None
    with tempfile.TemporaryDirectory() as place:
        out, err = Path(place) / "out", Path(place) / "err"
        job = {"arguments": arguments, "cwd": str(cwd), "env": env, "out": str(out), "err": str(err)}
        alarm = threading.Timer(SECONDS, server.kill)
        alarm.start()
        try:
            server.stdin.write(json.dumps(job) + "\n")
            server.stdin.flush()
            code = server.stdout.readline()
        finally:
            alarm.cancel()
        if not code:
            _server.cache_clear()
            raise subprocess.TimeoutExpired(["huikuan", *arguments], SECONDS)
        told, complained = (p.read_text(encoding="utf-8") if p.exists() else "" for p in (out, err))
    return subprocess.CompletedProcess(["huikuan", *arguments], int(code), told, complained)
