"""`/v2/doctor`: is the platform well, and what to do where it isn't."""

from dataclasses import asdict

from django.utils import timezone
from rest_framework.response import Response

from controller.access import require_admin
from controller.actions.doctor import Finding, examine
from controller.api.scoping import View


class DoctorView(View):
    """What was looked at, and the controller's own time."""

    gives = {"GET": {"time": str, "findings": [Finding]}}

    def get(self, request):
        require_admin(request.user)
        return Response({"time": timezone.now().isoformat(), "findings": [asdict(each) for each in examine()]})
