"""What keeps a store tidy, small, private and sound."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import select

from loma_memory.errors import SessionNotFound, StoreError, UsageError
from loma_memory.store import erase, heads, stats, tables, verify
from loma_memory.store.connected import Connected
from loma_memory.store.failpoints import reach
from loma_memory.store.keys import Key, parse_keys
from loma_memory.store.records import Erased, SessionHead, Stats, VerifyReport


class Upkeep(Connected):
    """Verbs for deleting, measuring and checking."""

    def namespaces(self) -> list[str]:
        """All namespaces in which something was saved, in alphabetical order."""
        with self._read() as unit:
            query = select(tables.namespaces.c.name).order_by(tables.namespaces.c.name)
            return list(unit.connection.execute(query).scalars())

    def stats(self, head: SessionHead | None = None, *, namespace: str | None = None) -> Stats:
        """Sizes of one session, of a namespace, or (with neither given) of the whole database."""
        with self._read() as unit:
            if head is not None:
                session = heads.load(unit, head.namespace, head.name)
                return stats.of_session(unit, session.link.n, session.link.turn)
            try:
                return stats.of_namespace(unit, None if namespace is None else unit.namespace_n(namespace))
            except SessionNotFound:
                return Stats(0, 0, 0, 0, 0, 0, 0)

    def delete_session(self, name: str, namespace: str = "") -> Erased:
        """Deletes a session and all that no other session of its namespace holds.

        Raises:
            SessionNotFound: there is none of that name.
        """
        with self._write() as unit:
            erased = erase.session(unit, namespace, name)
            reach("erase.deleted")
        reach("erase.committed")
        return replace(erased, complete=erase.scrub(self.database))

    def erase_namespace(self, namespace: str) -> Erased:
        """Deletes a namespace with everything in it, and rewrites the database so that no byte is left.

        Raises:
            SessionNotFound: nothing was ever saved in it.
        """
        with self._write() as unit:
            erased = erase.namespace(unit, namespace)
            reach("erase.deleted")
        reach("erase.committed")
        return replace(erased, complete=erase.compact(self.database))

    def set_expiry(self, head: SessionHead, at: datetime | timedelta | None) -> SessionHead:
        """Sets when a session expires: a time, a while from now, or None for never.

        An expired session is no longer found; `expire` deletes it, as does the making of any session.

        Raises:
            SessionNotFound: it has been deleted.
            UsageError: the time has no time zone.
        """
        moment = datetime.now(UTC) + at if isinstance(at, timedelta) else at
        with self._write() as unit:
            session = heads.load(unit, head.namespace, head.name, heads.Lock.MOVE)
            return heads.set_expiry(unit, session, moment)

    def expire(self) -> Erased:
        """Deletes the sessions of all namespaces whose time has come."""
        with self._read() as unit:
            if not erase.any_expired(unit):
                return Erased(0, 0, 0)
        with self._write() as unit:
            erased = erase.expired(unit)
        return self._scrubbed(erased)

    def gc(self) -> Erased:
        """Deletes, in all namespaces, what no session holds: mostly what rollbacks left."""
        with self._write() as unit:
            erased = erase.everywhere(unit)
        return self._scrubbed(erased)

    def vacuum(self) -> None:
        """Rewrites the database without its free space, and with it the last traces of deleted rows."""
        erase.compact(self.database)

    def verify(self) -> VerifyReport:
        """Checks every message, segment and session of the database, and reports by session."""
        try:
            with self._read() as unit:
                return verify.verify(unit)
        except StoreError as error:  # so damaged that it cannot be read through
            return VerifyReport((), (str(error),))

    def rotate_key(self, new_key: Key) -> int:
        """Encrypts everything under a new key, and forgets the others. Returns how many rows it rewrote.

        Others can read and write meanwhile, and have to open the store again with the new key when it is
        done. Stopped half-way, it is repeated on a store that was opened with both keys, "new,old".

        Raises:
            UsageError: the store is not encrypted, or the key is none.
        """
        from loma_memory.store import encryption, rotation

        if not isinstance(self._vault, encryption.EncryptedVault):
            raise UsageError("only an encrypted store has a key to rotate; `encrypt_database` makes one")
        self._vault = self._vault.with_first(parse_keys(new_key)[0])
        done = rotation.rotate(self.database, self._vault)
        erase.scrub(self.database)
        return done

    def _scrubbed(self, erased: Erased) -> Erased:
        if erased.messages or erased.sessions:
            return replace(erased, complete=erase.scrub(self.database))
        return erased
