"""Runs a program under the walls of a systemd unit, as far as they can be had without systemd as process 1.

    python3 confined.py UNIT CONFIG STATE COMMAND...

Built from the unit: the filter of system calls with its error, no memory that is written and executed, address families, no namespaces. Built by bubblewrap:
a root that is read only but for STATE (StateDirectory) and /tmp, no devices but the pseudo ones, only processes of its own, another user in a user namespace,
no capability, no new privileges. Needs bubblewrap, libseccomp's Python binding (Debian: python3-seccomp) and systemd-analyze, and says so with exit code 77.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile


def settings(unit):
    """Key and value of every line of [Service], in order."""
    with open(unit, encoding="utf-8") as lines:
        pairs = [line.strip().split("=", 1) for line in lines if "=" in line and not line.startswith("#")]
    return [(key, value) for key, value in pairs]


def members(word):
    """The system calls a word of SystemCallFilter stands for."""
    if not word.startswith("@"):
        return {word}
    shown = subprocess.run(["systemd-analyze", "--no-pager", "syscall-filter", word], check=True, capture_output=True, text=True).stdout
    names = [line.strip() for line in shown.splitlines()[1:] if line.strip() and not line.strip().startswith("#")]
    return set().union(*(members(name) for name in names))


def allowed(values):
    """What remains of the lines of SystemCallFilter: each adds, one with ~ takes away."""
    calls = set()
    for value in values:
        words = value.lstrip("~").split()
        named = set().union(*(members(word) for word in words))
        calls = calls - named if value.startswith("~") else calls | named
    return calls


def build(unit):
    """The unit's filter, as a file that can be handed to bubblewrap."""
    import seccomp

    pairs = settings(unit)
    all_of = lambda key: [value for k, value in pairs if k == key]
    on = lambda key: all_of(key)[-1:] == ["yes"]
    refuse = seccomp.ERRNO(1)
    filter_ = seccomp.SyscallFilter(defaction=refuse)
    calls = allowed(all_of("SystemCallFilter"))
    special = set()
    mask = lambda number, bits: seccomp.Arg(number, seccomp.MASKED_EQ, bits, 0)
    if on("MemoryDenyWriteExecute"):
        # PROT_EXEC is 4, PROT_WRITE 2: executable memory only where it is not writable, and never made so afterwards.
        for n in range(2):
            filter_.add_rule(seccomp.ALLOW, "mmap", mask(2, (4, 2)[n]))
        for name in ("mprotect", "pkey_mprotect"):
            filter_.add_rule(seccomp.ALLOW, name, mask(2, 4))
        special |= {"mmap", "mprotect", "pkey_mprotect"}
    families = all_of("RestrictAddressFamilies")
    if families:
        for family in families[-1].split():
            filter_.add_rule(seccomp.ALLOW, "socket", seccomp.Arg(0, seccomp.EQ, int(getattr(socket, family))))
        special.add("socket")
    if on("RestrictNamespaces"):
        # The CLONE_NEW bits; of clone3 the flags can't be seen: the C library falls back when it is not there.
        filter_.add_rule(seccomp.ALLOW, "clone", mask(0, 0x7E020080))
        filter_.add_rule(seccomp.ERRNO(38), "clone3")
        special |= {"clone", "clone3", "unshare", "setns"}
    for name in sorted(calls - special):
        try:
            filter_.add_rule(seccomp.ALLOW, name)
        except (RuntimeError, ValueError, OSError):
            pass  # Of another architecture, or newer than the library.
    out = tempfile.TemporaryFile()
    filter_.export_bpf(out)
    out.seek(0)
    return out


def main():
    unit, config, state, *command = sys.argv[1:]
    missing = [name for name in ("bwrap", "systemd-analyze") if not shutil.which(name)]
    try:
        import seccomp  # noqa: F401
    except ImportError:
        missing.append("python3-seccomp")
    if missing:
        print("not there: " + ", ".join(missing), file=sys.stderr)
        sys.exit(77)
    program = build(unit)
    os.set_inheritable(program.fileno(), True)
    walls = ["bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp", "--tmpfs", "/run", "--tmpfs", "/var/tmp", "--tmpfs", "/home"]
    binary = os.path.realpath(command[0])
    walls += ["--ro-bind", binary, "/tmp/program", "--ro-bind", config, "/tmp/config", "--bind", state, "/tmp/state", "--chdir", "/"]
    for name in ("NOTIFY_SOCKET",):
        if name in os.environ:
            walls += ["--bind", os.environ[name], os.environ[name]]
    walls += ["--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup", "--uid", "61234", "--gid", "61234"]
    walls += ["--cap-drop", "ALL", "--die-with-parent", "--new-session", "--as-pid-1", "--seccomp", str(program.fileno())]
    os.execvp("bwrap", walls + ["--", "/tmp/program"] + command[1:])


main()
