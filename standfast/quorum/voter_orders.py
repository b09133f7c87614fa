"""What operators order about who votes; see voters.py for what becomes of it."""

from msgspec import Struct

from standfast.model.cluster import MemberSpec


class AddMember(Struct, frozen=True):
    """Let one more member vote; `by`: the operator."""

    spec: MemberSpec
    by: str


class RemoveMember(Struct, frozen=True):
    """Let a member that has left, or was evicted, vote no more; `by`: the operator."""

    name: str
    by: str


class ReplaceMember(Struct, frozen=True):
    """Let another machine, at these addresses, be the member (none: at the old ones); `by`: the operator."""

    name: str
    addresses: tuple[str, ...]
    client_address: str
    by: str


Change = AddMember | RemoveMember | ReplaceMember
