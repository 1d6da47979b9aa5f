"""A sidecar for configsvc: gives processes their configuration as variables and files, acts on
changes, and serves it over loopback. Built on ``configsvc_client``.
"""
