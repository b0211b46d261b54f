"""Alembic's door: run with the engine that the store hands over, all in one transaction.

The lock taken first makes of two upgrades at once one that works and one that finds it done; a process that
is killed in the middle leaves no half schema, as both databases roll back what defines tables, too.
"""

from alembic import context
from sqlalchemy import text

from models.tables import metadata

#: SQLite takes its write lock at the beginning of the transaction (`huikuan_writes`), whatever is said first.
LOCK = {"postgresql": "SELECT pg_advisory_xact_lock(20260118)", "sqlite": "SELECT 1"}

engine = context.config.attributes["engine"]
with engine.connect().execution_options(huikuan_writes=True) as connection:
    connection.execute(text(LOCK[engine.dialect.name]))
    context.configure(connection=connection, target_metadata=metadata, render_as_batch=True, transactional_ddl=True)
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()
