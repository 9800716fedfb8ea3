"""Pages of HTML in place of the API server's answers, as proxies and load balancers send them with status 200."""

import aiohttp

FOREIGN = "text/html"


async def refuse_pages(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """A middleware of aiohttp for which such a page is a connection that failed: what asked tries again."""
    response = await handler(request)
    if response.status < 400 and response.content_type == FOREIGN:
        response.close()
        raise aiohttp.ClientConnectionError(f"{request.url.host} answered with a page of HTML: it isn't the API server")
    return response
