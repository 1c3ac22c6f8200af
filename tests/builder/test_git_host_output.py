"""What a git host has git say is read to its end and kept in part: its length is the host's to choose."""

import asyncio

from builder.git_host import MOST_SAID, head_of


async def test_only_the_head_of_what_git_says_is_kept():
    stream = asyncio.StreamReader(limit=2 * MOST_SAID)
    for _ in range(40):
        stream.feed_data(b"remote: so much to say\n" * 1000)
    stream.feed_eof()
    head = await head_of(stream)
    assert len(head) == MOST_SAID and head.startswith(b"remote: so much")
    assert stream.at_eof()
