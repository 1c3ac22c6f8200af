"""`manage.py rotate_keys`: the encrypted columns get a new key, while the platform runs."""

from django.core.management.base import BaseCommand, CommandError

from controller.actions.key_rotation import add_key, drop_old_keys, reencrypt
from controller.errors import Conflict
from controller.models.secret_fields import WrongKey, key_lines


class Command(BaseCommand):
    help = (
        "Encrypts config, certificates' keys and other secrets under a new key. Interrupted, --continue goes on. "
        "--drop-old-keys, some minutes later, ends the older keys. Back COLUMN_KEYS_FILE up with the database."
    )

    def add_arguments(self, parser):
        choice = parser.add_mutually_exclusive_group()
        choice.add_argument("--continue", action="store_true", dest="go_on", help="make no new key")
        choice.add_argument("--drop-old-keys", action="store_true", help="refused while anything needs one")

    def handle(self, *, go_on, drop_old_keys: bool, **options):
        try:
            if drop_old_keys:
                self.stdout.write(f"{self.drop()} older key(s) dropped.")
                return
            if not go_on:
                add_key()
            written = reencrypt()
        except (Conflict, WrongKey) as exc:
            raise CommandError(str(exc)) from exc
        except OSError as exc:
            raise CommandError(f"The key file can't be written: {exc}") from exc
        self.stdout.write(
            f"{written} value(s) written under the newest of {len(key_lines())} keys. "
            "When every controller and worker has answered since, run rotate_keys --drop-old-keys."
        )

    def drop(self) -> int:
        return drop_old_keys()
