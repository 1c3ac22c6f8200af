"""What the pages of lists share: a page of rows, and whose tabs they stand under."""

from __future__ import annotations

from typing import Any

from django.core.paginator import Page, Paginator
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse

ROWS_SHOWN = 50


def page_of(request: HttpRequest, rows: QuerySet, count: int = ROWS_SHOWN) -> Page:
    """The page of `rows` that `?page=N` asks for; the first, when it asks for none there is."""
    return Paginator(rows, count).get_page(request.GET.get("page", "1"))


def tabs_of(current: str, *tabs: tuple[str, str]) -> list[dict[str, Any]]:
    """(route, title) of each as the templates show tabs."""
    return [
        {"title": title, "url": reverse(f"dashboard:{route}"), "current": route == current} for route, title in tabs
    ]
