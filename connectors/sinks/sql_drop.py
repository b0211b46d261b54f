"""A table in a database of somebody else's: one row for each record and kind, its key unique."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self

import sqlalchemy as sa

from connectors.errors import SourceConfig, SourceUnavailable
from connectors.registry import Option
from connectors.sinks.registry import SinkInfo
from models.domain.pushes import Push, Pushed

_TABLE = re.compile(r"[a-z_][a-z0-9_]{0,40}")


def drop_table(name: str) -> sa.Table:
    """Amounts as whole minor units, and as text with the currency's digits: no database makes a float of them."""
    text = sa.Text()
    return sa.Table(
        name,
        sa.MetaData(),
        sa.Column("record_id", sa.String(36), primary_key=True),
        sa.Column("message", sa.String(10), primary_key=True),  # ready, withdrawn
        *(sa.Column(c, text, nullable=False) for c in ("contract", "term", "name", "customer")),
        sa.Column("customer_tax_id", text),
        sa.Column("currency", sa.String(3), nullable=False),
        *(sa.Column(c, sa.String(24), nullable=False) for c in ("gross", "net", "tax")),
        *(sa.Column(f"{c}_minor", sa.BigInteger, nullable=False) for c in ("gross", "net", "tax")),
        sa.Column("ready_on", sa.String(10), nullable=False),
        sa.Column("due_on", sa.String(10)),
        sa.Column("withdrawn_on", sa.String(10)),
        sa.Column("occurrence", sa.Integer, nullable=False),
    )


class SqlDrop:
    """One table."""

    def __init__(self, name: str, url: str, table: str) -> None:
        if not _TABLE.fullmatch(table):
            raise SourceConfig("drop_table", sink=name, table=repr(table))
        self.name, self._table = name, drop_table(table)
        try:
            parsed = sa.make_url(url)
            if parsed.drivername == "postgresql":  # the driver we have
                parsed = parsed.set(drivername="postgresql+psycopg")
            self._engine = sa.create_engine(parsed, hide_parameters=True, poolclass=sa.NullPool)
        except (sa.exc.ArgumentError, ImportError, ValueError):
            raise SourceConfig("drop_url", sink=name) from None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._engine.dispose()

    async def check(self) -> str:
        """Is the database there? A table that is absent is made by the first push."""
        with _database_errors(), self._engine.connect() as connection:
            there = sa.inspect(connection).has_table(self._table.name)
        return self._table.name if there else f"({self._table.name})"

    async def push(self, push: Push) -> Pushed:
        """Insert the row, unless its key is taken."""
        reference = f"{self._table.name}/{push.kind}"
        with _database_errors():
            self._table.create(self._engine, checkfirst=True)
            try:
                with self._engine.begin() as connection:
                    connection.execute(sa.insert(self._table).values(**self._row(push)))
            except sa.exc.IntegrityError:
                if not self._there(push):
                    raise
                return Pushed(reference, found=True)
        return Pushed(reference)

    def _row(self, push: Push) -> dict[str, Any]:
        line = push.line
        values = {**push.as_json(), "message": push.kind.value}
        values |= {"gross_minor": line.gross, "net_minor": line.net, "tax_minor": line.tax}
        return {c.name: values[c.name] for c in self._table.columns}

    def _there(self, push: Push) -> bool:
        key = sa.and_(self._table.c.record_id == push.key, self._table.c.message == push.kind.value)
        with self._engine.connect() as connection:
            return connection.execute(sa.select(self._table.c.record_id).where(key)).first() is not None


@contextmanager
def _database_errors() -> Iterator[None]:
    """The driver's text may carry the address and the data; its kind is enough."""
    try:
        yield
    except sa.exc.SQLAlchemyError as problem:
        kind = type(getattr(problem, "orig", None) or problem).__name__
        raise SourceUnavailable("drop_database", kind=kind) from None


def build(
    name: str, options: Mapping[str, Any], *, clock: Callable[..., Any] | None = None, transport: object = None
) -> SqlDrop:
    """A database needs neither clock nor transport."""
    del clock, transport
    return SqlDrop(name, options["url"], options["table"])


SINK = SinkInfo(
    "sql_drop",
    "SQL",
    (Option("url", required=True, default="", path=True), Option("table", default="huikuan_ready")),
    build,
)
