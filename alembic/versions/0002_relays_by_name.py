"""relays by name"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("deliveries", "attempts"):
        op.add_column(table, sa.Column("relay", sa.String(), nullable=True))


def downgrade() -> None:
    for table in ("attempts", "deliveries"):
        op.drop_column(table, "relay")
