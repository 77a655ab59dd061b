import fapws


def flash(file):
    """Records the sizes of the pieces of an uploaded file, and how the upload ends."""
    with open("flash.log", "a") as log, open("flash.bin", "wb") as out:
        print("begin", file.name, file.size, file=log, flush=True)
        try:
            while True:
                piece = yield
                print(len(piece) if piece is not None else "end", file=log, flush=True)
                if piece is None:
                    break
                if piece.startswith(b"bad"):
                    raise fapws.HTTPError(422, "not an image")
                if piece.startswith(b"bug"):
                    raise ValueError("a bug")
                out.write(piece)
        except GeneratorExit:
            print("broke off", file=log, flush=True)
            raise


def received(environ, start_response):
    file = environ["fapws.upload"].file
    return f"{file.path}{file.size} {file.sha256}"


to = fapws.upload(flash, received, piece_size="64K")


def around(environ, start_response):
    return to(environ, start_response)


PATHS = [("/flash", to), ("/around", around)]
