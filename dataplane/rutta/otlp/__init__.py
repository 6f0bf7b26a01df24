"""OTLP, the protocol of OpenTelemetry: events as log records, metrics and spans, and how requests go and come back.

https://opentelemetry.io/docs/specs/otlp/ and https://github.com/open-telemetry/opentelemetry-proto, version 1.
"""
