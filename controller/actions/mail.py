"""Mail, by the operator's SMTP server (SMTP_URL)."""

import smtplib
from contextlib import suppress
from email.utils import make_msgid

from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.core.mail.backends.base import BaseEmailBackend

from controller.errors import BadRequest, cause_of


def send_mail(to: list[str], subject: str, text: str) -> None:
    """Raises: BadRequest when the mail server refuses or can't be reached, or there is nobody to send to."""
    if not all(to):
        raise BadRequest("The account has no mail address any more")
    headers = {"Message-ID": make_msgid(domain=settings.PLATFORM_DOMAIN), "Auto-Submitted": "auto-generated"}
    connection = get_connection()
    message = EmailMessage(
        " ".join(subject.split()), text, settings.MAIL_FROM, to, headers=headers, connection=connection
    )
    try:
        message.send()
    except (smtplib.SMTPException, OSError, ValueError) as exc:  # ValueError: a password or address outside ASCII
        raise BadRequest(
            f"The mail to {', '.join(to)} could not be sent: {told(exc)}; the operator's SMTP_URL may be wrong"
        ) from exc
    finally:
        hang_up(connection)


def try_server(patience: float) -> None:
    """Connects and logs in, and sends nothing. Raises: BadRequest."""
    connection = get_connection(timeout=patience)
    try:
        connection.open()
    except (smtplib.SMTPException, OSError, ValueError) as exc:
        raise BadRequest(told(exc)) from exc
    finally:
        hang_up(connection)


def hang_up(connection: BaseEmailBackend) -> None:
    """Also where the login was refused, after which the server still waits."""
    with suppress(smtplib.SMTPException, OSError):
        connection.close()


def told(exc: Exception) -> str:
    """What happened, in the server's own words where it said something."""
    server = f"{settings.EMAIL_HOST}:{settings.EMAIL_PORT}"
    if isinstance(exc, smtplib.SMTPAuthenticationError):
        return f"{server} refused the login of {settings.EMAIL_HOST_USER}: {words_of(exc.smtp_code, exc.smtp_error)}"
    if isinstance(exc, smtplib.SMTPRecipientsRefused):
        said = "; ".join(f"{name}: {words_of(*answer)}" for name, answer in exc.recipients.items())
        return f"{server} refused the recipient, {said}"
    if isinstance(exc, smtplib.SMTPResponseException):
        return f"{server} answered {words_of(exc.smtp_code, exc.smtp_error)}"
    if isinstance(exc, UnicodeError):
        return f"{server} takes user names and passwords in ASCII only, and SMTP_URL has others"
    return f"{server}: {cause_of(exc)}"


def words_of(code: int, text: bytes | str) -> str:
    said = text.decode(errors="replace") if isinstance(text, bytes) else text
    return f"{code} {' '.join(said.split())}"
