"""A real SLURM on this machine: two nodes of one core, with all its files in a folder and daemons of its own."""

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

CONF = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
KillWait=20
SlurmdSpoolDir={folder}/%n
StateSaveLocation={folder}/state
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
NodeName=one NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=1 RealMemory=8000
NodeName=two NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=1 RealMemory=8000
PartitionName=test Nodes=one,two Default=YES State=UP
"""


def missing() -> str:
    """Why SLURM cannot be started here, an empty text if it can."""
    if absent := [name for name in ("slurmctld", "slurmd", "sbatch", "munged") if not shutil.which(name)]:
        return f"SLURM is not installed here (no {', '.join(absent)}): apt-get install slurmctld slurmd munge"
    return "" if os.geteuid() == 0 else "SLURM's daemons are started by root alone"


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens at."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@contextmanager
def slurm(folder: Path) -> Iterator[None]:
    """Start the daemons, and let SLURM's commands find them while the block runs; skips the test where it cannot."""
    if reason := missing():
        pytest.skip(reason)
    for name in ("state", "one", "two"):
        (folder / name).mkdir(parents=True)
    folder.chmod(0o755)
    conf, key = folder / "slurm.conf", folder / "munge.key"
    conf.write_text(CONF.format(host=socket.gethostname(), folder=folder, ports=free_ports(3)))
    key.write_bytes(os.urandom(1024))
    key.chmod(0o600)
    files = {"socket": "munge.socket", "key-file": key.name, "pid-file": "munged.pid", "log-file": "munged.log"}
    files["seed-file"] = "munge.seed"
    started = [
        ["munged", "--force", *(f"--{option}={folder / name}" for option, name in files.items())],
        *(["slurmctld", "-f", str(conf)], ["slurmd", "-f", str(conf), "-N", "one"]),
        ["slurmd", "-f", str(conf), "-N", "two"],
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", str(conf))
        try:
            for words in started:
                subprocess.run(words, check=True)
            yield
        finally:
            subprocess.run(["scancel", "--me"])  # what a failed test leaves behind
            for name in ("one", "two", "slurmctld", "munged"):
                if (folder / f"{name}.pid").is_file():
                    os.kill(int((folder / f"{name}.pid").read_text()), signal.SIGTERM)
