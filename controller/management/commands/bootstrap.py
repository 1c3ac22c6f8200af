"""`manage.py bootstrap`: the first administrator exists and knows the password."""

from pathlib import Path

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from controller.actions.auth import store_digest
from controller.models import User


class Command(BaseCommand):
    help = "Creates the first administrator, or gives it its rights and password back."

    def add_arguments(self, parser):
        parser.add_argument("--username", default="admin")
        parser.add_argument("--password-file", required=True, help="a file whose first line is the password")
        parser.add_argument("--email", default="")
        parser.add_argument("--unless-there-is-one", action="store_true", help="an administrator is left as it is")

    def handle(self, *, username, password_file, email, unless_there_is_one=False, **options):
        if unless_there_is_one and User.objects.filter(is_superuser=True, is_active=True).exists():
            self.stdout.write("there is an administrator")
            return
        try:
            password = Path(password_file).read_text().split("\n", 1)[0]
        except OSError as exc:
            raise CommandError(f"{password_file} can't be read: {exc.strerror}") from exc
        if not password:
            raise CommandError(f"{password_file} is empty; its first line is to be the password")
        with transaction.atomic():
            user, made = User.objects.select_for_update().get_or_create(username=username, defaults={"email": email})
            user.is_superuser = user.is_staff = user.is_active = True
            user.email = email or user.email
            if made or not user.check_password(password):
                user.set_password(password)
            user.save()
            store_digest(user)
        self.stdout.write(f"administrator {username} {'created' if made else 'is in order'}")
