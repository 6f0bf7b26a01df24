"""Elasticsearch and OpenSearch: events as operations of ``_bulk``, and what its answers mean."""
