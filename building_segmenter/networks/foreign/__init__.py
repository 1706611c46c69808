"""Models from elsewhere: what their files and their users say, and graphs from pixels to probabilities."""
