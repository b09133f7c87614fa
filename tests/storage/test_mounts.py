"""What is mounted where, and what is wrong with its options: a table."""

import pytest

from standfast.storage.mounts import FAULTS, MountFault, faults, mount_of

TABLE = """\
21 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard
40 21 0:40 / /shared rw,relatime - nfs4 10.0.0.9:/ rw,{options}
41 40 0:41 / /shared/with\\040blank ro,relatime - ext4 /dev/vdb rw
42 21 0:40 / /shared rw,relatime - nfs4 10.0.0.9:/second rw,{options}
"""
GOOD = "vers=4.1,hard,proto=tcp,timeo=600,local_lock=none"


def test_the_innermost_mount_holds_a_path_and_the_last_one_of_a_point_hides_the_others():
    table = TABLE.format(options=GOOD)
    for path, source in (("/tmp", "/dev/vda"), ("/shared", "10.0.0.9:/second"), ("/sharedx", "/dev/vda")):
        found = mount_of(path, table)
        assert found is not None
        assert found.source == source
    inner = mount_of("/shared/with blank/q", table)
    assert inner is not None
    assert inner.source == "/dev/vdb"
    assert faults(inner) == [MountFault.READ_ONLY]
    assert mount_of("/", "") is None


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (GOOD, []),
        (GOOD.replace("4.1", "4.2"), []),
        (GOOD.replace("4.1", "3"), [MountFault.OLD_VERSION]),
        (GOOD.replace("4.1", "4.0"), [MountFault.LEASE_4_0]),
        (GOOD.replace("hard", "soft"), [MountFault.SOFT]),
        (GOOD.replace("hard", "softerr"), [MountFault.SOFT]),
        (GOOD.replace("=none", "=all"), [MountFault.LOCAL_LOCKS]),
        (GOOD + ",nolock", [MountFault.NO_LOCKS]),
        (GOOD + ",noac", [MountFault.NO_ATTRIBUTE_CACHE]),
        ("vers=4.0,soft,noac", [MountFault.SOFT, MountFault.LEASE_4_0, MountFault.NO_ATTRIBUTE_CACHE]),
    ],
)
def test_what_is_wrong_with_a_mount(options: str, wanted: list[MountFault]):
    found = mount_of("/shared/q", TABLE.format(options=options))
    assert found is not None
    assert faults(found) == wanted


def test_amazon_efs_wants_an_option_more():
    table = TABLE.format(options=GOOD).replace("10.0.0.9:/", "fs-0123abcd.efs.eu-central-1.amazonaws.com:/")
    found = mount_of("/shared", table)
    assert found is not None
    assert faults(found) == [MountFault.RESERVED_PORT]
    assert {*FAULTS} == {*MountFault}
