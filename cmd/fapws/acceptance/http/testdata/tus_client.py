"""Uploads a file with the client of Debian (python3-tuspy): the first bytes, and then, as another client that knows the address, the rest."""
import sys

from tusclient import client

address, name, first = sys.argv[1], sys.argv[2], int(sys.argv[3])
tus = client.TusClient(address)
upload = tus.uploader(name, chunk_size=65536, metadata={"filename": "by tuspy.bin", "note": "ä"}, upload_checksum=True)
upload.upload(stop_at=first)
again = tus.uploader(name, chunk_size=65536, url=upload.url, upload_checksum=True)
print(again.offset)
again.upload()
print(again.offset)
