"""Encryption at rest: AES-256-GCM over texts and segments, keyed hashes in place of ids and checksums.

What is encrypted is bound to its place: moved to another namespace, message or fingerprint, it does not
open. A message's id is a hash of its words, and short words can be guessed; so the database holds a hash
of the id under a secret *index key* instead. The index key is random, made once, and stored encrypted
under each of the keys in use. Names of sessions and namespaces, roles, times, sizes and fingerprints are
not encrypted.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from functools import lru_cache

from sqlalchemy import Connection, insert, select, text

from loma_memory.errors import IntegrityError, StoreError
from loma_memory.store.database import Database
from loma_memory.store.ids import hash_fields
from loma_memory.store.keys import Key, parse_keys
from loma_memory.store.tables import keys, messages, sessions
from loma_memory.store.vault import Vault

try:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
except ImportError:
    raise StoreError("encryption needs its library: pip install 'loma-memory[encryption]'") from None


_FORMAT = b"\x01"
_NONCE = 12
_KEY_ID = 8
_HEADER = len(_FORMAT) + _KEY_ID


class EncryptedVault(Vault):
    """Writes texts and segments encrypted under the first of its keys, and reads those under any of them.

    Attributes:
        key_id: id of the first key, 16 hexadecimal digits.
        prefix: what everything encrypted under the first key begins with.
    """

    encrypted = True

    def __init__(self, master_keys: Sequence[bytes], index_key: bytes) -> None:
        """Takes keys of 32 bytes, the one to encrypt with first."""
        self._keys = {_key_id(key): key for key in master_keys}
        self._index_key = index_key
        self._checksum_key = hash_fields("loma checksum", key=index_key)
        self.key_id = _key_id(master_keys[0]).hex()
        self.prefix = _FORMAT + _key_id(master_keys[0])

    def row_id(self, message_id: str) -> str:
        """A keyed hash of the id."""
        return "k2:" + hash_fields("loma row", message_id, key=self._index_key).hex()

    def seal_message(
        self, namespace: str, row_id: str, message_id: str, text: str
    ) -> tuple[str | None, bytes | None]:
        """No text, and id and text encrypted."""
        return None, self._seal(namespace, f"{message_id}\n{text}".encode(), "message", row_id)

    def open_message(
        self, namespace: str, row_id: str, text: str | None, sealed: bytes | None
    ) -> tuple[str, str]:
        """Id and text; a plain text is refused, because nobody with the key has written it.

        Raises:
            IntegrityError: the row is in plain text, damaged, or encrypted under a key that is not given.
        """
        if text is not None or sealed is None:
            raise IntegrityError("a message in plain text was refused: the database is encrypted")
        message_id, _, words = self._open(namespace, sealed, "message", row_id).decode().partition("\n")
        return message_id, words

    def open_id(self, namespace: str, row_id: str, sealed: bytes | None) -> str:
        """Id of a message.

        Raises:
            IntegrityError: as in `open_message`.
        """
        return self.open_message(namespace, row_id, None, sealed)[0]

    def seal_segment(self, namespace: str, row_id: str, fingerprint: str, codec: str, data: bytes) -> bytes:
        """The data encrypted."""
        return self._seal(namespace, data, "segment", row_id, fingerprint, codec)

    def open_segment(self, namespace: str, row_id: str, fingerprint: str, codec: str, stored: bytes) -> bytes:
        """The data.

        Raises:
            IntegrityError: it is damaged, of another place, or under a key that is not given.
        """
        return self._open(namespace, stored, "segment", row_id, fingerprint, codec)

    def checksum(self, *fields: str | bytes | int) -> bytes:
        """A keyed hash, so that nobody without the key can make one that is right."""
        return hash_fields(*fields, key=self._checksum_key)

    def check_writable(self, connection: Connection) -> None:
        """Checks that others have not taken the key out of use. Called at the start of each write.

        Raises:
            StoreError: they have.
        """
        in_use = select(keys.c.key_id).where(keys.c.key_id == self.key_id)
        if connection.execute(in_use).first() is None:
            raise StoreError(f"key {self.key_id} is no longer in use: open the store again with the new one")

    def with_first(self, key: bytes) -> EncryptedVault:
        """The same vault, encrypting under another key."""
        return EncryptedVault([key, *self._keys.values()], self._index_key)

    def wrap(self) -> dict[str, object]:
        """The row of the table of keys that gives the index key to holders of the first key."""
        master = self._keys[bytes.fromhex(self.key_id)]
        nonce = os.urandom(_NONCE)
        wrapped = nonce + _cipher(master, "loma wrap").encrypt(nonce, self._index_key, self.key_id.encode())
        return {"key_id": self.key_id, "wrapped": wrapped}

    def _seal(self, namespace: str, data: bytes, *place: str) -> bytes:
        master = self._keys[bytes.fromhex(self.key_id)]
        nonce = os.urandom(_NONCE)
        body = _cipher(master, "loma rows", namespace).encrypt(nonce, data, hash_fields(namespace, *place))
        return self.prefix + nonce + body

    def _open(self, namespace: str, sealed: bytes, *place: str) -> bytes:
        key_id = sealed[len(_FORMAT) : _HEADER]
        if sealed[: len(_FORMAT)] != _FORMAT or key_id not in self._keys:
            raise IntegrityError(f"it is encrypted under key {key_id.hex()}, which was not given, or damaged")
        cipher = _cipher(self._keys[key_id], "loma rows", namespace)
        nonce, body = sealed[_HEADER : _HEADER + _NONCE], sealed[_HEADER + _NONCE :]
        try:
            return cipher.decrypt(nonce, body, hash_fields(namespace, *place))
        except (InvalidTag, ValueError):
            raise IntegrityError("it does not decrypt: it is damaged or was put there by others") from None


def open_vault(database: Database, key: Key) -> EncryptedVault:
    """The vault of an encrypted database; an empty database becomes one.

    Raises:
        StoreError: the database is in plain text, or encrypted under other keys.
        UsageError: the key is none.
    """
    masters = parse_keys(key)
    with database.read() as connection:
        known = _known(connection)
    if _key_id(masters[0]).hex() in known:
        return _unwrap(masters, known)
    with database.write() as connection:
        if not database.sqlite:
            connection.execute(text("LOCK TABLE loma_keys IN ACCESS EXCLUSIVE MODE"))
        known = _known(connection)
        if not known:
            _check_empty(database, connection)
        vault = _unwrap(masters, known) if known else EncryptedVault(masters, os.urandom(32))
        if vault.key_id not in known:
            connection.execute(insert(keys).values(**vault.wrap()))
    return vault


def _known(connection: Connection) -> dict[str, bytes]:
    return {row.key_id: row.wrapped for row in connection.execute(select(keys))}


def _check_empty(database: Database, connection: Connection) -> None:
    for table in (messages, sessions):
        if connection.execute(select(table.c.n).limit(1)).first() is not None:
            raise StoreError(
                f"{database.url.render_as_string()} is in plain text, which is refused where a key is given: "
                "`encrypt_database` encrypts it"
            )


def _unwrap(masters: Sequence[bytes], known: dict[str, bytes]) -> EncryptedVault:
    for master in masters:
        wrapped = known.get(_key_id(master).hex())
        if wrapped is None:
            continue
        nonce, body = wrapped[:_NONCE], wrapped[_NONCE:]
        try:
            index_key = _cipher(master, "loma wrap").decrypt(nonce, body, _key_id(master).hex().encode())
        except (InvalidTag, ValueError):
            raise IntegrityError("the database's table of keys is damaged") from None
        return EncryptedVault(masters, index_key)
    given = ", ".join(_key_id(master).hex() for master in masters)
    raise StoreError(
        f"the database is encrypted under key {', '.join(sorted(known))}, and the key given is {given}"
    )


def _key_id(key: bytes) -> bytes:
    return hashlib.blake2b(key, digest_size=_KEY_ID, person=b"loma key id").digest()


# A key of its own for each namespace: what one namespace writes tells nothing of another's, and no key
# comes near the number of messages that random nonces are safe for.
@lru_cache(maxsize=1024)
def _cipher(master: bytes, *purpose: str) -> AESGCM:
    return AESGCM(hash_fields(*purpose, key=master))
