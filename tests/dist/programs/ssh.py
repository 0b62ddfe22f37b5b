"""Engines that are started through SSH, and a client that reaches them through a tunnel; prints what it found as JSON.

usage: ssh.py libssh2|openssh
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import ipclusterz as ipz

backend = sys.argv[1]
profile = Path(f"{backend}.toml")
profile.write_text(
    f'extends = "ssh"\n[ssh]\nbackend = "{backend}"\nhosts = [{{ host = "there", engines = 2 }}]\n'
    f'[engines]\npython = "{sys.executable}"\n[controller]\nlisten = "127.0.0.1:0"\n'
)
cluster = ipz.Cluster(cluster="far", profile=str(profile)).start()
try:
    with ipz.Client(sshserver="there", sshbackend=backend, cluster="far") as rc:
        answers = rc[:].apply_sync(abs, -1)
        programs = subprocess.run(["sh", "-c", "cat /proc/[0-9]*/comm"], stdout=subprocess.PIPE, text=True, check=False)
        told = {"client": len(rc), "engines": sum(answers.values()), "ssh": "ssh\n" in programs.stdout}
    print(json.dumps(told))
finally:
    cluster.stop()
