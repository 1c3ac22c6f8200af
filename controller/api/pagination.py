"""Pages as Deis has them."""

from rest_framework.pagination import LimitOffsetPagination


class Page(LimitOffsetPagination):
    """`?limit=N&offset=M`; 100 by default, and when the limit is 0 or no number."""

    default_limit = 100
    max_limit = 10_000
