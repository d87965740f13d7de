"""Who is told how a run went: URLs that are pinged, commands, and Prometheus."""
