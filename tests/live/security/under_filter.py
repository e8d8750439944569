"""Runs a program under a filter of system calls, as a systemd unit has it with

    SystemCallFilter=@system-service
    SystemCallFilter=~@privileged @resources

Whatever else it calls ends it at once. Needs systemd-analyze, which knows the groups, and libseccomp.

usage: under_filter.py PROGRAM [ARGUMENT ...]
"""

import ctypes
import os
import subprocess
import sys

ALLOWED = ["@system-service"]
REFUSED = ["@privileged", "@resources"]

KILL_PROCESS = 0x80000000
ALLOW = 0x7FFF0000
NO_SUCH_CALL = -1


def calls(group, seen):
    """The names of the calls in a group and in the groups that it names."""
    if group in seen:
        return set()
    seen.add(group)
    listing = subprocess.run(
        ["systemd-analyze", "--no-pager", "syscall-filter", group],
        check=True, capture_output=True, text=True,
    ).stdout
    names = set()
    for line in listing.splitlines()[1:]:
        word = line.strip()
        if word.startswith("@"):
            names |= calls(word, seen)
        elif word and not word.startswith("#"):
            names.add(word)
    return names


def union(groups):
    return set().union(*(calls(group, set()) for group in groups))


def main():
    library = ctypes.CDLL("libseccomp.so.2", use_errno=True)
    library.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(KILL_PROCESS)))
    # The start of the program itself is of no group that a refusal could take away.
    for name in sorted(union(ALLOWED) - union(REFUSED) | {"execve"}):
        number = library.seccomp_syscall_resolve_name(name.encode())
        # Calls of other machines have no number, or a pseudo one below zero, here.
        if number > NO_SUCH_CALL:
            added = library.seccomp_rule_add(
                context, ctypes.c_uint32(ALLOW), ctypes.c_int(number), ctypes.c_uint(0))
            if added != 0:
                sys.exit(f"cannot allow {name}: {added}")
    if (loaded := library.seccomp_load(context)) != 0:
        sys.exit(f"cannot load the filter: {loaded}")
    os.execv(sys.argv[1], sys.argv[1:])


main()
