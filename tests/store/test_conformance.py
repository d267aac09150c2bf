"""The three kinds of database against the conformance kit."""

from __future__ import annotations

import pytest

from loma_memory.testing import StoreConformance


class TestSqliteFile(StoreConformance):
    @pytest.fixture
    def store_url(self, sqlite_url: str) -> str:
        return sqlite_url


class TestSqliteMemory(StoreConformance):
    @pytest.fixture
    def store_url(self) -> str:
        return "sqlite://"


class TestPostgresql(StoreConformance):
    @pytest.fixture
    def store_url(self, pg_url: str) -> str:
        return pg_url
