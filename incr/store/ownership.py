"""Whether a directory may be trusted, and whether what is written to it lasts: looked at before a store is opened.

Law: nothing is changed here, and nothing is believed that a file says. Whoever can write to a directory can give a
program any value from it, so it has to belong to this user or to the system's administrator, and nobody else may write
to it. Locks and syncs are promises of the file system; one that is reached over a network may not keep them.

Keeps: owner.trust, owner.network.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from typing import Final, NamedTuple

from incr._errors import StoreError
from incr.store.directory import explained

__all__ = ["Mount", "check_file_system", "check_owner", "mount_of", "mounts_from", "strangers"]

_EVERYONE: Final = "everyone"

#: Types of file systems, as `mount` shows them, that are reached over a network or through another machine.
_NETWORK: Final = frozenset(
    {
        "9p", "acfs", "afpfs", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "gfs", "gfs2", "glusterfs", "gpfs",
        "kafs", "lustre", "ncpfs", "nfs", "nfs3", "nfs4", "ocfs2", "orangefs", "panfs", "prl_fs", "pvfs2", "smb",
        "smb2", "smb3", "smbfs", "sshfs", "vboxsf", "vmhgfs", "webdav",
    }
)  # fmt: skip
#: Programs that serve a file system over a network: fuse.NAME, or as the source of one of type "fuse".
_NETWORK_PROGRAMS: Final = frozenset(
    {
        "blobfuse", "blobfuse2", "ceph", "ceph-fuse", "cephfs", "curlftpfs", "davfs", "davfs2", "gcsfuse",
        "glusterfs", "goofys", "gvfsd-fuse", "httpfs", "juicefs", "lustre", "mountpoint-s3", "moosefs", "mfs",
        "rclone", "s3backer", "s3fs", "s3ql", "seaweedfs", "smbnetfs", "sshfs", "vmhgfs-fuse", "weed",
    }
)  # fmt: skip
_ESCAPE: Final = re.compile(r"\\([0-3][0-7]{2})")
#: ``SOURCE on POINT (TYPE, OPTIONS)``, as macOS and the BSDs list mounts.
_LISTED: Final = re.compile(r"(?P<source>.*?) on (?P<point>/.*) \((?P<kind>[^,)\s]+)[^)]*\)")


class Mount(NamedTuple):
    """One file system and where it is seen."""

    point: str
    kind: str
    source: str


# spec: owner.trust
def check_owner(path: str, trust: Collection[str] = ()) -> None:
    """Refuse a directory that somebody else owns or may write to.

    *trust* names whom the program trusts nevertheless: ``"user:NAME"``, ``"group:NAME"`` (numbers where there is no
    name), ``"everyone"``.

    Raises:
        StoreError: it belongs to, or can be written by, somebody who is not named; or there is nothing to look at.
    """
    with explained(path, "looked at"):
        status = os.stat(path)
    for name, can in strangers(status, os.geteuid()):
        if name not in trust:
            raise StoreError(
                path,
                f"{can} {name}, who could put anything there; use a directory of your own (chmod go-w takes rights "
                f"from others), or trust them by name: {name!r}",
            )


def strangers(status: os.stat_result, user: int) -> Iterator[tuple[str, str]]:
    """Who else than *user* has a say in a directory, and what he can do. The administrator has one everywhere."""
    if status.st_uid not in (user, 0):
        yield f"user:{_user(status.st_uid)}", "belongs to"
    if status.st_mode & stat.S_IWGRP:
        yield f"group:{_group(status.st_gid)}", "can be written by"
    if status.st_mode & stat.S_IWOTH:
        yield _EVERYONE, "can be written by"


def _user(number: int) -> str:
    import pwd

    with suppress(KeyError):
        return pwd.getpwuid(number).pw_name
    return str(number)


def _group(number: int) -> str:
    import grp

    with suppress(KeyError):
        return grp.getgrgid(number).gr_name
    return str(number)


# spec: owner.network
def check_file_system(path: str, network: Collection[str] = (), mounts: str | None = None) -> None:
    """Refuse to write to a file system that is reached over a network.

    *network* names the types that the program allows nevertheless, as messages have them: ``"nfs4"``,
    ``"fuse.sshfs"``. *mounts* is what is read instead of the system's own list, in the form of
    ``/proc/self/mountinfo`` or of the command ``mount``. Where no list can be had, nothing is refused.

    Raises:
        StoreError: it is reached over a network, and its type is not named.
    """
    with explained(path, "looked at"):
        whole = os.path.realpath(path, strict=True)
    mount = mount_of(whole, mounts_from(_list_mounts() if mounts is None else mounts))
    if mount is not None and _is_network(mount) and mount.kind not in network:
        raise StoreError(
            path,
            f"is on a network file system ({mount.kind} of {mount.source}, at {mount.point}), where locks and syncs "
            f"may not hold what they promise; use a local disk, or allow it by name: {mount.kind!r}",
        )


def mount_of(path: str, mounts: list[Mount]) -> Mount | None:
    """The file system that an absolute path without links is on; None if no mount has it."""
    found: Mount | None = None
    for mount in mounts:
        below = mount.point.rstrip("/") + "/"
        # Of two at one place, the later one hides the other.
        if (path + "/").startswith(below) and (found is None or len(mount.point) >= len(found.point)):
            found = mount
    return found


def mounts_from(text: str) -> list[Mount]:
    """The mounts in a list as ``/proc/self/mountinfo`` or the command ``mount`` has it; other lines are left out."""
    return [mount for line in text.splitlines() if (mount := _mount(line)) is not None]


def _mount(line: str) -> Mount | None:
    before, dash, behind = line.partition(" - ")
    fields, more = before.split(" "), behind.split(" ")
    if dash and len(fields) >= 6 and len(more) >= 2:
        return Mount(_plain(fields[4]), more[0], _plain(more[1]))
    listed = _LISTED.fullmatch(line)
    return Mount(listed["point"], listed["kind"], listed["source"]) if listed else None


def _plain(field: str) -> str:
    """Spaces and the like are written as three octal digits."""
    return _ESCAPE.sub(lambda match: chr(int(match[1], 8)), field)


def _is_network(mount: Mount) -> bool:
    kind, _, program = mount.kind.partition(".")
    if kind in ("fuse", "macfuse", "osxfuse"):
        # A program's own name, or a source like user@host:path or //host/share.
        names = {program, mount.source.partition("#")[0], os.path.basename(mount.source)}
        return bool(names & _NETWORK_PROGRAMS) or ":" in mount.source or mount.source.startswith("//")
    return kind in _NETWORK


def _list_mounts(file: str = "/proc/self/mountinfo", command: Sequence[str] = ("/sbin/mount",)) -> str:
    """What the system says is mounted where; nothing if it does not."""
    with suppress(OSError), open(file, encoding="utf-8", errors="surrogateescape") as mountinfo:
        return mountinfo.read()
    import subprocess  # five milliseconds for systems that have no such file

    with suppress(OSError, subprocess.SubprocessError):
        return subprocess.run(
            command, capture_output=True, check=True, encoding="utf-8", errors="surrogateescape", timeout=10
        ).stdout
    return ""
