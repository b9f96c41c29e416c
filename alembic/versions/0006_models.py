"""models: what was learnt from all readers, and what the check of it found"""

import sqlalchemy as sa
from alembic import op

from digest.store.tables import Utc

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "models",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("made_at", Utc, nullable=False),
        sa.Column("checked", sa.JSON, nullable=False),
        sa.Column("data", sa.LargeBinary),
    )


def downgrade() -> None:
    op.drop_table("models")
