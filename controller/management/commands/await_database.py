"""`manage.py await_database`: waits for the database, with --migrated for the tables that this code expects, too."""

import time

from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.utils import DatabaseError, InterfaceError

LOOK = 1.0  # seconds between looks


class Command(BaseCommand):
    help = "Ends well once the database answers, or says after --seconds why it doesn't."

    def add_arguments(self, parser):
        parser.add_argument("--migrated", action="store_true", help="until no migration of this code is missing")
        parser.add_argument("--seconds", type=float, default=600.0)

    def handle(self, *, migrated: bool, seconds: float, **options):
        deadline = time.monotonic() + seconds
        while problem := missing(migrated):
            if time.monotonic() >= deadline:
                raise CommandError(f"{problem}; waited {seconds:.0f} s. See DATABASE_URL and the Job that migrates")
            time.sleep(min(LOOK, max(deadline - time.monotonic(), 0)))
        self.stdout.write("the database is ready")


def missing(migrated: bool) -> str:
    """What the database lacks, or nothing."""
    try:
        connection.ensure_connection()
        if not migrated:
            return ""
        executor = MigrationExecutor(connection)
        wanted = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except (DatabaseError, InterfaceError) as exc:
        connection.close()
        return f"the database doesn't answer ({str(exc).strip()})"
    return f"the database lacks {len(wanted)} migrations, the first is {wanted[0][0]}" if wanted else ""
