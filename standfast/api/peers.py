"""Tokens of the other members: asked for again and again, so that one made or revoked anywhere counts everywhere.

Guarantees: a member that is up and reached learns within EVERY_S plus a moment; in whatever order members learn from
each other, all end up with the same (see tokens.py). Needs neither the store nor a majority: who is let in must not
hang on what is broken. Does not guarantee that a member that is cut off knows of a revocation.
"""

import asyncio
import logging
from pathlib import Path

import aiohttp
import msgspec

from standfast.api.desk import Desk
from standfast.api.routes import BASE, TOKENS
from standfast.errors import StandfastError
from standfast.member.config_protocol import ConfigReport
from standfast.member.control_protocol import ShowConfig
from standfast.model.cluster import MemberSpec
from standfast.tokens import Token
from standfast.trust import ssl_client_context

EVERY_S = 2.0
ANSWER_S = 2.0
MAX_BYTES = 1024 * 1024

_log = logging.getLogger(__name__)
_decode = msgspec.json.Decoder(tuple[Token, ...]).decode
_AWAY = (aiohttp.ClientError, TimeoutError, OSError, msgspec.MsgspecError, ValueError, RecursionError)


async def learn(desk: Desk, trust: Path) -> None:
    """Ask the others, for ever. Raises KeyFileError when this member's own certificates can not be used."""
    connector = aiohttp.TCPConnector(ssl=ssl_client_context(trust), limit_per_host=1)
    timeout = aiohttp.ClientTimeout(total=ANSWER_S)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False) as session:
        while True:
            try:
                cluster = (await desk.ask(ShowConfig(), ConfigReport, None)).cluster
                others = [one for one in cluster.members if one.name != desk.member and one.api_port]
                for theirs in await asyncio.gather(*(_tokens(session, other) for other in others)):
                    if desk.tokens.take(theirs):
                        _log.info("tokens that another member made or revoked count here now")
            except StandfastError as error:
                _log.warning("tokens of other members are not known: %s", error)
            await asyncio.sleep(EVERY_S)


async def _tokens(session: aiohttp.ClientSession, other: MemberSpec) -> tuple[Token, ...]:
    """What another member has; nothing when it does not answer."""
    address = other.addresses[0]
    host = f"[{address}]" if ":" in address else address
    try:
        async with session.get(f"https://{host}:{other.api_port}{BASE}{TOKENS}", allow_redirects=False) as answer:
            answer.raise_for_status()
            return _decode(await answer.content.read(MAX_BYTES))
    except _AWAY as error:
        _log.debug("tokens of %s: %s", other.name, error)
        return ()
