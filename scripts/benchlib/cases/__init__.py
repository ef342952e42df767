"""All cases, in the order of the table."""

from . import gateway, http, hubless, imports, torrents


def all_cases():
    return [
        *imports.CASES,
        *http.CASES,
        *hubless.CASES,
        *torrents.CASES,
        *gateway.CASES,
    ]
