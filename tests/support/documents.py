"""Readers of documents for tests of the standards."""

from bot.errors import Refused


def together(read):
    """A reader of one document -> the reader of several that an index takes."""

    async def read_all(documents):
        found = {}
        for document in documents:
            try:
                found[document] = await read(document)
            except Refused as error:
                found[document] = error
        return found

    return read_all
