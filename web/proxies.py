"""Which proxies are believed when they say whom they forward for; none by default. uvicorn does the rest."""

import ipaddress


class ProxyError(ValueError):
    """An entry of the list of proxies is no address and no network."""


def parse_proxies(listed: str) -> tuple[str, ...]:
    """Return the addresses and networks of a comma list, or raise ProxyError for one that names everybody or nobody."""
    return tuple(_parse_proxy(entry.strip()) for entry in listed.split(",") if entry.strip())


def _parse_proxy(entry: str) -> str:
    if entry == "*":
        raise ProxyError("'*' would believe everybody: name the proxy's address or network")
    try:
        network = ipaddress.ip_network(entry)
    except ValueError as error:
        raise ProxyError(f"{entry!r} is no address and no network: {error}") from error
    if network.prefixlen == 0:
        raise ProxyError(f"{entry!r} would believe everybody: name the proxy's address or network")
    return str(network) if "/" in entry else str(network.network_address)
