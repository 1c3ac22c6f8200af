"""Mail, by the operator's SMTP server (SMTP_URL)."""

import smtplib

from django.conf import settings
from django.core.mail import EmailMessage

from controller.errors import BadRequest


def send_mail(to: list[str], subject: str, text: str) -> None:
    """Raises: BadRequest when the mail server refuses or can't be reached."""
    message = EmailMessage(" ".join(subject.split()), text, settings.MAIL_FROM, to)
    try:
        message.send()
    except (smtplib.SMTPException, OSError) as exc:
        raise BadRequest(
            f"The mail to {', '.join(to)} could not be sent ({exc}); the operator's SMTP_URL may be wrong"
        ) from exc
