from scope import app

PATHS = [("/api/v1", app), ("/", app)]
