"""The application of asgi.py with uvicorn, for a program of PyInstaller."""

import sys

import uvicorn
from asgi import application

if __name__ == "__main__":
    uvicorn.run(application, host="127.0.0.1", port=int(sys.argv[1]), loop="uvloop", http="httptools", access_log=False,
                log_level="warning")
