"""Tokens that a client must show, compared in constant time."""

import hmac
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Self

from tapetum.errors import InputError
from tapetum.records import read_bytes

__all__ = ["Tokens"]

FEWEST_CHARACTERS = 16


class Tokens:
    """The tokens of a server; without any, everyone may ask.

    Args:
        tokens: Each of at least 16 visible ASCII characters.

    Raises:
        InputError: A token is too short, or has other characters.
    """

    def __init__(self, tokens: Iterable[str] = ()) -> None:
        self._digests = []
        for number, token in enumerate(tokens, 1):
            if len(token) < FEWEST_CHARACTERS or not (token.isascii() and token.isprintable()):
                raise InputError(
                    f"token {number} is not possible: a token has at least {FEWEST_CHARACTERS} "
                    "visible ASCII characters",
                    "draw one with: openssl rand -hex 32",
                )
            self._digests.append(sha256(token.encode()).digest())

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file with one token a line; empty lines and those that start with # are left out.

        Raises:
            InputError: The file cannot be read, has no token, or has an impossible one.
        """
        lines = read_bytes(path).decode("utf-8", "replace").splitlines()
        tokens = [token for line in lines if (token := line.strip()) and token[0] != "#"]
        if not tokens:
            raise InputError(f"{path} has no token", "write one token on each line")
        return cls(tokens)

    def __bool__(self) -> bool:
        return bool(self._digests)

    def allow(self, token: str) -> bool:
        """Return whether a token is one of these; the time it takes depends on neither."""
        # Headers are decoded as Latin-1, so this gives back what was sent.
        digest = sha256(token.encode("latin-1", "replace")).digest()
        return any([hmac.compare_digest(digest, known) for known in self._digests])  # noqa: C419
