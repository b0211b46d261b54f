"""For people who write and test connectors: sandbox servers, conformance suite, the demo's world."""
