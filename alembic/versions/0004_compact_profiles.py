"""compact profiles: what publishing made of a profile's document is kept beside it"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("profiles", sa.Column("compact", sa.LargeBinary))


def downgrade() -> None:
    with op.batch_alter_table("profiles") as batch:
        batch.drop_column("compact")
