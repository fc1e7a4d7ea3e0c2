"""A directory that others can write to, or one behind a network, is refused unless it is allowed by name."""

from __future__ import annotations

import grp
import os
import pwd
import sys
from pathlib import Path

import pytest

from incr import StoreError
from incr.store.ownership import Mount, _list_mounts, check_file_system, check_owner, mount_of, mounts_from, strangers

MOUNTINFO = """\
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
30 27 0:40 / /home rw shared:5 master:1 - nfs4 server:/export/home rw,vers=4.2
31 27 0:41 / /home/ann/local rw - ext4 /dev/vdb rw
32 27 0:42 / /with\\040space\\134 rw - cifs //host/share\\040two rw
33 27 0:43 / /ssh rw - fuse.sshfs ann@host:/files rw
34 27 0:44 / /ntfs rw - fuseblk /dev/sdc1 rw
35 27 0:45 / /crypt rw - fuse.gocryptfs /secret rw
36 27 0:46 / /odd rw - fuse.odd host:/files rw
37 27 0:47 / /dav rw - fuse https#x rw
38 27 0:48 / /bucket rw - fuse /usr/bin/s3fs rw
39 27 0:49 / /twice rw - nfs server:/a rw
40 27 0:50 / /twice rw - tmpfs tmpfs rw
41 27 0:51 / /shared rw - 9p hostshare rw
42 27 0:52 / /share rw - fuse.x //host/share rw
too short - x
no mount at all
"""

MACOS = """\
/dev/disk3s1s1 on / (apfs, sealed, local, read-only, journaled)
map auto_home on /System/Volumes/Data/home (autofs, automounted, nobrowse)
//ann@host/share on /Volumes/share (smbfs, nodev, nosuid, mounted by ann)
host:/files on /Volumes/with space (macfuse, nodev, nosuid, synchronous, mounted by ann)
tmpfs on /bsd (tmpfs)
"""


@pytest.mark.spec("owner.trust")
def test_rights_of_others_are_refused_unless_they_are_trusted(tmp_path: Path) -> None:
    path = tmp_path / "store"
    path.mkdir(0o700)
    check_owner(str(path))
    path.chmod(0o755)
    check_owner(str(path))
    path.chmod(0o777)
    with pytest.raises(StoreError, match=rf"{path}: can be written by group:.*, who could.*trust them by name") as one:
        check_owner(str(path))
    group = str(one.value).rpartition(": ")[2].strip("'")
    with pytest.raises(StoreError, match=r"can be written by everyone.*chmod go-w.*'everyone'"):
        check_owner(str(path), [group])
    check_owner(str(path), [group, "everyone"])
    with pytest.raises(StoreError, match="cannot be looked at: No such file"):
        check_owner(str(path / "missing"))


@pytest.mark.spec("owner.trust")
def test_who_has_a_say_in_a_directory() -> None:
    def found(mode: int, owner: int, group: int) -> list[str]:
        status = os.stat_result((mode, 0, 0, 2, owner, group, 0, 0, 0, 0))
        return [name for name, _ in strangers(status, 1000)]

    assert found(0o40700, 1000, 54322) == []
    assert found(0o40755, 0, 54322) == []
    assert found(0o40777, 54321, 54322) == ["user:54321", "group:54322", "everyone"]
    # Others' right to write is one right even where the sticky bit keeps them from removing.
    assert found(0o41777, 0, 0) == [f"group:{grp.getgrgid(0).gr_name}", "everyone"]
    user = pwd.getpwnam("nobody")
    assert found(0o40700, user.pw_uid, 0) == ["user:nobody"]


@pytest.mark.spec("owner.network")
@pytest.mark.parametrize(
    ("path", "point"),
    [
        ("/", "/"),
        ("/home", "/home"),
        ("/home/ann", "/home"),
        ("/homes", "/"),
        ("/home/ann/local/x", "/home/ann/local"),
        ("/with space\\/x", "/with space\\"),
    ],
)
def test_the_mount_of_a_path_is_the_nearest_one(path: str, point: str) -> None:
    mount = mount_of(path, mounts_from(MOUNTINFO))
    assert mount is not None
    assert mount.point == point


@pytest.mark.spec("owner.network")
@pytest.mark.parametrize("text", [MOUNTINFO, MACOS])
def test_which_file_systems_are_behind_a_network(tmp_path: Path, text: str) -> None:
    refused = {
        "/home", "/with space\\", "/ssh", "/odd", "/dav", "/bucket", "/shared", "/share",
        "/Volumes/share", "/Volumes/with space",
    }  # fmt: skip
    mounts = mounts_from(text.replace("https#x", "davfs2#https"))
    assert len(mounts) in (15, 5)
    for mount in mounts:
        if mount.point == "/twice":
            continue
        # Seen from here, as if that file system were mounted there.
        here = f"1 1 0:1 / {tmp_path} rw - {mount.kind} {mount.source.replace(' ', '_')} rw"
        if mount.point in refused:
            with pytest.raises(StoreError, match=rf"^{tmp_path}: is on a network file system \({mount.kind} of "):
                check_file_system(str(tmp_path), mounts=here)
            check_file_system(str(tmp_path), {mount.kind}, here)
        else:
            check_file_system(str(tmp_path), mounts=here)


@pytest.mark.spec("owner.network")
def test_the_later_mount_hides_the_earlier_one(tmp_path: Path) -> None:
    assert mount_of("/twice/x", mounts_from(MOUNTINFO)) == Mount("/twice", "tmpfs", "tmpfs")
    assert mount_of("/x", []) is None
    check_file_system(str(tmp_path), mounts="")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    (tmp_path / "target").mkdir()
    with pytest.raises(StoreError, match="nfs4"):
        check_file_system(str(tmp_path / "link"), mounts=f"1 1 0:1 / {tmp_path}/target rw - nfs4 host:/x rw")
    with pytest.raises(StoreError, match="cannot be looked at: No such file"):
        check_file_system(str(tmp_path / "missing"))


@pytest.mark.spec("owner.network")
def test_the_system_is_asked_in_its_own_way(tmp_path: Path) -> None:
    check_file_system(str(tmp_path), {mount.kind for mount in mounts_from(_list_mounts())})
    lister = (sys.executable, "-c", f"print({MACOS!r})")
    assert mounts_from(_list_mounts(str(tmp_path / "none"), lister)) == mounts_from(MACOS)
    assert _list_mounts(str(tmp_path / "none"), (sys.executable, "-c", "raise SystemExit(1)")) == ""
    assert _list_mounts(str(tmp_path / "none"), (str(tmp_path / "no command"),)) == ""
