"""The one HTTP client of all connectors: authentication, paging, throttle, retry, redaction."""
