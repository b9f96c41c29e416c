"""questions in a moment: what was not accepted, and what one pass made, among a million letters"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

NOT_ACCEPTED = sa.text("state <> 'accepted'")


def upgrade() -> None:
    op.create_index(
        "ix_deliveries_not_accepted",
        "deliveries",
        ["key"],
        sqlite_where=NOT_ACCEPTED,
        postgresql_where=NOT_ACCEPTED,
    )
    op.create_index("ix_editions_made_at", "editions", ["made_at"])


def downgrade() -> None:
    op.drop_index("ix_editions_made_at", "editions")
    op.drop_index("ix_deliveries_not_accepted", "deliveries")
