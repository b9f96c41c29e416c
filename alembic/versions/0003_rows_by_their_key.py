"""rows by their key: on SQLite ids, listings and signals are kept in the tree of their key alone"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TABLES = ("paper_ids", "listings", "signals")


def upgrade() -> None:
    _rewrite(with_rowid=False)


def downgrade() -> None:
    _rewrite(with_rowid=True)


def _rewrite(*, with_rowid: bool) -> None:
    """Copy each table into one of the other kind. PostgreSQL has one kind."""
    if op.get_bind().dialect.name != "sqlite":
        return
    for table in TABLES:
        shape = {"sqlite_with_rowid": with_rowid}
        with op.batch_alter_table(table, recreate="always", table_kwargs=shape):
            pass
