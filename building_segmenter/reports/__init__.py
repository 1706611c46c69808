"""HTML reports, charts and overlays."""
