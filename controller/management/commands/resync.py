"""`manage.py resync`: every app is told to the cluster anew, as to one that lost it or never had it."""

from django.core.management.base import BaseCommand

from controller.models import App


class Command(BaseCommand):
    help = "Has the workers apply everything of every app again; what is as it should be stays as it is."

    def handle(self, **options):
        count = App.objects.update(unsynced=True)
        self.stdout.write(f"{count} {'app is' if count == 1 else 'apps are'} told to the cluster anew")
