"""All cases, in the order of the table."""

from . import gateway, http, hubless, imports, iroh, torrents


def all_cases():
    return [
        *imports.CASES,
        *http.CASES,
        *hubless.CASES,
        *torrents.CASES,
        *iroh.CASES,
        *gateway.CASES,
    ]
